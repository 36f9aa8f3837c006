import type { LogSink } from '@podmesh/core';

const HEADER_BYTES = 8;
const STDOUT = 1;
const STDERR = 2;

/**
 * Splits Docker's multiplexed stream (8-byte header: stream, three zeros, big-endian length; then
 * that many bytes) into calls of the sink. Bytes are passed on as they come, never collected, so a
 * flood costs no memory. `skip` drops the first bytes of each stream: those that were seen before
 * a connection broke.
 */
export class OutputDemux {
  readonly #sink: LogSink;
  readonly #header = Buffer.alloc(HEADER_BYTES);
  #headerBytes = 0;
  #payloadBytes = 0;
  readonly #seen: DemuxPosition = { stdout: 0, stderr: 0 };
  readonly #skip: DemuxPosition;

  constructor(sink: LogSink, skip: Readonly<DemuxPosition> = { stdout: 0, stderr: 0 }) {
    this.#sink = sink;
    this.#skip = { ...skip };
  }

  /** Bytes of each stream that came through, skipped ones included. */
  get position(): Readonly<DemuxPosition> {
    return this.#seen;
  }

  push(chunk: Uint8Array): void {
    let rest = chunk;
    while (rest.length > 0) {
      rest = this.#payloadBytes > 0 ? this.#takePayload(rest) : this.#takeHeader(rest);
    }
  }

  #takeHeader(chunk: Uint8Array): Uint8Array {
    const taken = Math.min(HEADER_BYTES - this.#headerBytes, chunk.length);
    this.#header.set(chunk.subarray(0, taken), this.#headerBytes);
    this.#headerBytes += taken;
    if (this.#headerBytes === HEADER_BYTES) {
      this.#payloadBytes = this.#header.readUInt32BE(4);
      this.#headerBytes = 0;
    }
    return chunk.subarray(taken);
  }

  #takePayload(chunk: Uint8Array): Uint8Array {
    const taken = Math.min(this.#payloadBytes, chunk.length);
    this.#payloadBytes -= taken;
    // Podman sends its own complaints about the stream as 3 ("system error"); they are no output.
    const kind = this.#header[0];
    if (kind === STDOUT) this.#deliver('stdout', chunk.subarray(0, taken));
    else if (kind === STDERR) this.#deliver('stderr', chunk.subarray(0, taken));
    return chunk.subarray(taken);
  }

  #deliver(stream: keyof DemuxPosition, bytes: Uint8Array): void {
    const skipped = Math.min(Math.max(this.#skip[stream] - this.#seen[stream], 0), bytes.length);
    this.#seen[stream] += bytes.length;
    if (skipped < bytes.length) this.#sink(stream, bytes.subarray(skipped));
  }
}

/** Bytes of each stream. */
export interface DemuxPosition {
  stdout: number;
  stderr: number;
}
