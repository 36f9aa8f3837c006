import { PortError } from '@podmesh/core';
import { AskedThread } from './asked-thread.ts';

/** The same relative path holds in `src` and in `dist`; see the file for why it is JavaScript. */
const WORKER = new URL('./bytes-worker.js', import.meta.url);

/** The thread that hashes and writes ended before it had answered. The next request gets a new one. */
export class BytesThreadLostError extends PortError {
  constructor(cause?: unknown) {
    super('the thread that hashes and writes files ended while it worked on one; try again', {
      retryable: true,
      cause,
    });
  }
}

export interface FileHash {
  readonly sha256: string;
  readonly bytes: number;
  /** SHA-256 of each chunk, in hex; empty where none were asked for. */
  readonly digests: readonly string[];
}

/** Some bytes of a file, and what their SHA-256 has to be. */
export interface ByteRange {
  readonly offset: number;
  readonly bytes: number;
  readonly sha256: string;
}

/** Of a file that grows: its bytes are hashed in order, behind whoever writes it. */
export interface FollowedFile {
  /** Everything before `to` is written and right. */
  advance(to: number): void;
  /** The hash of exactly the first `bytes`; ends the following. */
  finish(bytes: number): Promise<FileHash>;
  /** Ends it without a result. Harmless after `finish`, or twice. */
  close(): void;
}

/**
 * One thread that hashes and writes files, so that the main thread never does. It begins with the first request,
 * and keeps no process alive that waits for nothing. One that dies fails what was asked of it, and is replaced.
 */
export class BytesThread {
  readonly #thread: AskedThread;

  /** `script` stands in for the thread's program in tests. */
  constructor(script: URL = WORKER) {
    const lost = (cause: unknown) => new BytesThreadLostError(cause);
    this.#thread = new AskedThread({ script, name: 'podmesh-bytes', lost });
  }

  /** Hashes a whole file; with `chunkBytes`, its chunks too, in the same pass. */
  hashFile(path: string, chunkBytes = 0): Promise<FileHash> {
    return this.#thread.ask({ kind: 'hash-file', path, chunkBytes });
  }

  /** Whether the bytes of each range have their digest; those that are not there have not. */
  matching(path: string, ranges: readonly ByteRange[]): Promise<readonly boolean[]> {
    return this.#thread.ask({ kind: 'matching', path, ranges });
  }

  /** Writes the bytes at their place in an existing file if they have the digest; false: they have not. */
  put(path: string, place: Omit<ByteRange, 'bytes'>, bytes: Uint8Array): Promise<boolean> {
    const { owned, moved } = movable(bytes);
    const { offset, sha256 } = place;
    return this.#thread.ask({ kind: 'put', path, offset, sha256, bytes: owned }, moved);
  }

  /** Begins to hash a file that is still being written. */
  follow(path: string, chunkBytes = 0): FollowedFile {
    const thread = this.#thread.running;
    const key = this.#thread.newId();
    const tell = (order: object): void => this.#thread.tell({ ...order, key }, thread);
    tell({ kind: 'follow', path, chunkBytes });
    return {
      advance: (to) => tell({ kind: 'advance', to }),
      finish: async (bytes) => {
        if (this.#thread.current !== thread) throw new BytesThreadLostError();
        return await this.#thread.ask({ kind: 'finish', key, to: bytes });
      },
      close: () => tell({ kind: 'forget' }),
    };
  }

  /** Ends the thread. Harmless when it never began, or twice. */
  stop(): Promise<void> {
    return this.#thread.stop();
  }
}

/** The bytes with memory of their own where they share it: only whole buffers can move to another thread. */
function movable(bytes: Uint8Array): { owned: Uint8Array; moved: readonly ArrayBuffer[] } {
  const { buffer } = bytes;
  // Shared memory is there for both threads.
  if (!(buffer instanceof ArrayBuffer)) return { owned: bytes, moved: [] };
  const owned = bytes.byteLength === buffer.byteLength ? bytes : new Uint8Array(bytes);
  return { owned, moved: owned.buffer instanceof ArrayBuffer ? [owned.buffer] : [] };
}
