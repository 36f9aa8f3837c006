import { setTimeout as pause } from 'node:timers/promises';
import type { LiveLog, LogChunk, RunId, TaskId } from '@podmesh/core';

/** Live output has no end of its own: when nothing came for this long, what there was has been seen. */
const QUIET_MS = 400;
/** The first piece may take a round trip or two. */
const FIRST_MS = 1_500;
const LOOK_MS = 25;

/** Reads live output of a run (or one task of it) in the background, until told to stop. */
export class LiveReader {
  readonly #stop = new AbortController();
  readonly #done: Promise<void>;
  #quietSinceMs = performance.now();
  #seenAny = false;

  constructor(
    liveLog: LiveLog,
    of: { readonly run: RunId; readonly task: TaskId | undefined },
    take: (chunk: LogChunk) => Promise<void>,
  ) {
    this.#done = this.#read(liveLog.follow(of.run, of.task, this.#stop.signal), take);
    // Whoever stops the reader sees the error; until then it must not be an unhandled one.
    this.#done.catch(() => undefined);
  }

  /** Waits until `isComplete` says so or nothing more seems to come, and stops. */
  async drain(isComplete: () => boolean = () => false): Promise<void> {
    while (!isComplete() && !this.#isQuiet()) await pause(LOOK_MS);
    await this.stop();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#done;
  }

  #isQuiet(): boolean {
    const quietMs = performance.now() - this.#quietSinceMs;
    return quietMs > (this.#seenAny ? QUIET_MS : FIRST_MS);
  }

  async #read(
    chunks: AsyncIterable<LogChunk>,
    take: (chunk: LogChunk) => Promise<void>,
  ): Promise<void> {
    for await (const chunk of chunks) {
      await take(chunk);
      this.#seenAny = true;
      this.#quietSinceMs = performance.now();
    }
  }
}
