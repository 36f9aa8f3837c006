import {
  type LiveLog,
  LOG_CHUNK_BYTES_MAX,
  type LogChunk,
  type RunId,
  type TaskId,
} from '@podmesh/core';
import type { MeshConnection } from './mesh-connection.ts';
import { isAborted } from './pause.ts';
import { readStream } from './stream-reader.ts';
import { LOG_STREAM, logSubject, logSubjects, parseLogSubject } from './subjects.ts';

/** Bytes on their way to the server; a flood beyond them is dropped, the spooled log has it all. */
const UNCONFIRMED_BYTES_MAX = 16 * 1024 * 1024;

/** Live output on a small memory stream; best effort by design, it never waits and never throws. */
export class JetStreamLiveLog implements LiveLog {
  readonly #mesh: MeshConnection;
  #unconfirmedBytes = 0;
  #flushing = false;

  constructor(mesh: MeshConnection) {
    this.#mesh = mesh;
  }

  write(chunk: LogChunk): void {
    const subject = logSubject(chunk.run, chunk.task, chunk.attempt);
    for (let from = 0; from < chunk.bytes.length; from += LOG_CHUNK_BYTES_MAX) {
      if (!this.#mesh.isConnected || this.#unconfirmedBytes > UNCONFIRMED_BYTES_MAX) return;
      const part = chunk.bytes.subarray(from, from + LOG_CHUNK_BYTES_MAX);
      this.#mesh.nc.publish(subject, part);
      this.#unconfirmedBytes += part.length;
      void this.#confirm();
    }
  }

  async *follow(
    run: RunId,
    task: TaskId | undefined,
    signal: AbortSignal,
  ): AsyncGenerator<LogChunk> {
    const options = {
      stream: LOG_STREAM,
      filters: [logSubjects(run, task)],
      after: 0,
      until: 'signal' as const,
      volatile: true,
    };
    for await (const batch of readStream(this.#mesh, options, signal))
      for (const { message } of batch) {
        if (isAborted(signal)) return;
        yield { ...parseLogSubject(message.subject), bytes: message.data };
      }
  }

  /** A round trip to the server says that all before it has left. */
  async #confirm(): Promise<void> {
    if (this.#flushing) return;
    this.#flushing = true;
    const sent = this.#unconfirmedBytes;
    await this.#mesh.nc.flush().catch(() => undefined);
    this.#unconfirmedBytes -= sent;
    this.#flushing = false;
    if (this.#unconfirmedBytes > 0 && this.#mesh.isConnected) void this.#confirm();
  }
}
