import {
  applyEvent,
  initialRunState,
  type RunId,
  type RunState,
  type Sequence,
} from '@podmesh/core';
import type { RunFeedParts } from './run-feeds.ts';
import { FEED_RETRY_MS } from './task-api-limits.ts';

/** One run, folded as its log grows: one reader, however many tasks of this peer wait for something in it. */
export class RunFeed {
  readonly #parts: RunFeedParts;
  readonly #run: RunId;
  readonly #stop = new AbortController();
  readonly #lookers = new Set<() => void>();
  #state: RunState | undefined;
  #problem: unknown;
  #following: Promise<void> | undefined;

  constructor(parts: RunFeedParts, run: RunId) {
    this.#parts = parts;
    this.#run = run;
  }

  start(): void {
    this.#following ??= this.#follow();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    this.#tell();
    await this.#following;
  }

  /**
   * What `look` finds, in a state that holds everything up to `after`, as soon as it finds something; undefined when
   * the signal aborts first. Throws what keeps the log from being read, while nothing of it was read.
   */
  async find<T>(
    look: (state: RunState) => T | undefined,
    signal: AbortSignal,
    after: Sequence = 0,
  ): Promise<T | undefined> {
    for (;;) {
      if (this.#state !== undefined && this.#state.sequence >= after) {
        const found = look(this.#state);
        if (found !== undefined) return found;
      }
      if (this.#problem !== undefined && this.#state === undefined) throw this.#problem;
      if (signal.aborted || this.#stop.signal.aborted) return undefined;
      await this.#change(signal);
    }
  }

  #change(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        this.#lookers.delete(wake);
        signal.removeEventListener('abort', wake);
        resolve();
      };
      this.#lookers.add(wake);
      signal.addEventListener('abort', wake, { once: true });
    });
  }

  #tell(): void {
    for (const wake of [...this.#lookers]) wake();
  }

  async #follow(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted && this.#state?.ended === undefined) {
      try {
        await this.#fold(signal);
        this.#problem = undefined;
      } catch (error) {
        this.#problem = error;
        this.#parts.logger.warn({ run: this.#run, err: error }, 'could not follow a run');
      }
      this.#tell();
      if (this.#state?.ended === undefined) await this.#parts.clock.sleep(FEED_RETRY_MS, signal);
    }
  }

  /** What is there at first is folded before anybody looks: half of a log would tell of a run that never was. */
  async #fold(signal: AbortSignal): Promise<void> {
    const { log, loadGraph } = this.#parts;
    let state = this.#state;
    if (state === undefined) {
      for await (const batch of log.read(this.#run, signal)) {
        for (const logged of batch) {
          if (logged.event.kind === 'run-published')
            state = initialRunState(await loadGraph(logged.event));
          if (state !== undefined) applyEvent(state, logged);
        }
      }
      if (state === undefined) throw new Error(`the log of run ${this.#run} cannot be read`);
      this.#state = state;
      this.#tell();
    }
    for await (const batch of log.follow(this.#run, state.sequence, signal)) {
      for (const logged of batch) applyEvent(state, logged);
      this.#tell();
      if (state.ended !== undefined) return;
    }
  }
}
