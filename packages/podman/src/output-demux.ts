import type { LogSink } from '@podmesh/core';

const HEADER_BYTES = 8;
const STDOUT = 1;
const STDERR = 2;
/**
 * When its own connection to a container breaks, Podman says so in the stream, as if the task had written it
 * to standard error. A task may of course write such words, too.
 */
const COMPLAINT = /^Error: (read|write) unix/;
const COMPLAINT_BYTES_MAX = 1_024;

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
  /** A frame that is being collected because it may be a complaint, or was found to be one. */
  #suspect: Buffer | undefined;

  constructor(sink: LogSink, skip: Readonly<DemuxPosition> = { stdout: 0, stderr: 0 }) {
    this.#sink = sink;
    this.#skip = { ...skip };
  }

  /** Bytes of each stream that came through, skipped ones included. */
  get position(): Readonly<DemuxPosition> {
    return this.#seen;
  }

  /**
   * After the last byte: whether Podman complained at the end. The complaint was neither passed on nor counted;
   * its log copy tells what really was there.
   */
  get isBroken(): boolean {
    return this.#suspect !== undefined;
  }

  /** Passes on what was held back; for a stream that carries no complaints of Podman. */
  flush(): void {
    if (this.#suspect !== undefined) this.#deliver('stderr', this.#suspect);
    this.#suspect = undefined;
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
      this.#startFrame();
    }
    return chunk.subarray(taken);
  }

  #takePayload(chunk: Uint8Array): Uint8Array {
    const taken = Math.min(this.#payloadBytes, chunk.length);
    this.#payloadBytes -= taken;
    if (this.#suspect !== undefined) {
      this.#collect(this.#suspect, chunk.subarray(0, taken));
      return chunk.subarray(taken);
    }
    // Podman sends its own complaints about the stream as 3 ("system error"); they are no output.
    const kind = this.#header[0];
    if (kind === STDOUT) this.#deliver('stdout', chunk.subarray(0, taken));
    else if (kind === STDERR) this.#deliver('stderr', chunk.subarray(0, taken));
    return chunk.subarray(taken);
  }

  #startFrame(): void {
    // Something follows, so the frame before was the task's own.
    if (this.#suspect !== undefined) this.#deliver('stderr', this.#suspect);
    const mayBe = this.#header[0] === STDERR && this.#payloadBytes <= COMPLAINT_BYTES_MAX;
    this.#suspect = mayBe && this.#payloadBytes > 0 ? Buffer.alloc(0) : undefined;
  }

  #collect(collected: Buffer, bytes: Uint8Array): void {
    const frame = Buffer.concat([collected, bytes]);
    const isWhole = this.#payloadBytes === 0;
    const isHarmless = isWhole && !COMPLAINT.test(frame.toString('latin1'));
    this.#suspect = isHarmless ? undefined : frame;
    if (isHarmless) this.#deliver('stderr', frame);
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
