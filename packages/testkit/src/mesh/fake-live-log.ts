import type { LiveLog, LogChunk, RunId, TaskId } from '@podmesh/core';
import type { FakeProcess } from '../process/fake-process.ts';
import { feed } from '../process/feed.ts';
import { Topic } from '../process/topic.ts';

/** Chunks kept; older ones make room. */
const CHUNKS_KEPT_MAX = 10_000;

/** The bounded stream of live output. */
export class LiveLogServer {
  readonly changed = new Topic();
  private readonly chunks: LogChunk[] = [];
  private dropped = 0;

  store(chunk: LogChunk): void {
    this.chunks.push(chunk);
    if (this.chunks.length > CHUNKS_KEPT_MAX) {
      this.chunks.shift();
      this.dropped += 1;
    }
    this.changed.notify();
  }

  /** The first chunk at or after `position` that is wanted, and the position behind it. */
  nextFrom(
    position: number,
    wanted: (chunk: LogChunk) => boolean,
  ): { readonly chunk: LogChunk | undefined; readonly position: number } {
    for (let at = Math.max(position, this.dropped); ; at += 1) {
      const chunk = this.chunks[at - this.dropped];
      if (chunk === undefined || wanted(chunk)) return { chunk, position: chunk ? at + 1 : at };
    }
  }
}

/** Live output as one process sees it. */
export class FakeLiveLog implements LiveLog {
  private readonly process: FakeProcess;
  private readonly server: LiveLogServer;

  constructor(process: FakeProcess, server: LiveLogServer) {
    this.process = process;
    this.server = server;
  }

  write(chunk: LogChunk): void {
    const sent = { ...chunk, bytes: chunk.bytes.slice() };
    this.process.send('live.write', () => this.server.store(sent));
  }

  async *follow(
    run: RunId,
    task: TaskId | undefined,
    signal: AbortSignal,
  ): AsyncGenerator<LogChunk> {
    let position = 0;
    const wanted = (chunk: LogChunk) =>
      chunk.run === run && (task === undefined || chunk.task === task);
    const next = () => {
      const found = this.server.nextFrom(position, wanted);
      position = found.position;
      return found.chunk;
    };
    const source = { label: 'live.follow', topic: this.server.changed, next, lossy: true };
    yield* feed(this.process, source, signal);
  }
}
