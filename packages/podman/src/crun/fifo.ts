import { closeSync, constants, openSync, readSync, writeSync } from 'node:fs';
import { Socket } from 'node:net';
import { PIPE_BYTES_MAX, PIPE_PIECE_BYTES } from './crun-limits.ts';

const { O_NONBLOCK, O_RDONLY, O_WRONLY } = constants;

/**
 * The reading end of a FIFO. Nothing is read before somebody takes it: what is in a pipe outlives this
 * process, what was read does not. Ends when all writers that were there since the opening are gone.
 */
export class FifoReader {
  /** Resolves at the end, or when it was closed. */
  readonly closed: Promise<void>;
  readonly #fd: number;
  #socket: Socket | undefined;
  #take: (bytes: Buffer) => void = () => undefined;
  #tellClosed: () => void = () => undefined;
  #isClosed = false;

  constructor(path: string) {
    this.#fd = openSync(path, O_RDONLY | O_NONBLOCK);
    this.closed = new Promise((resolve) => {
      this.#tellClosed = resolve;
    });
  }

  /** Whether somebody takes its bytes. */
  get isTaken(): boolean {
    return this.#socket !== undefined;
  }

  /** From now on the bytes go there; who took them before gets no more. */
  take(take: (bytes: Buffer) => void): void {
    this.#take = take;
    if (this.#socket !== undefined || this.#isClosed) return;
    this.#socket = new Socket({ fd: this.#fd, readable: true, writable: false });
    // Somebody who does not care about the end must not crash by it.
    this.#socket.on('error', () => undefined);
    this.#socket.once('close', this.#tellClosed);
    this.#socket.on('data', (bytes: Buffer) => this.#take(bytes));
  }

  /**
   * Hands over, before it returns, all that is in the pipe now. Node tells nobody how much that is, so
   * it is read here until the kernel has no more. The socket reads the same pipe, but only between two
   * turns of this thread, so no byte overtakes another.
   */
  readAll(): void {
    const socket = this.#socket;
    if (socket === undefined) return;
    // What the socket has read already, and would hand over in its next turn.
    while (!socket.destroyed && socket.read() !== null);
    for (let bytes = 0; !socket.destroyed && bytes < PIPE_BYTES_MAX; ) {
      const piece = Buffer.allocUnsafe(PIPE_PIECE_BYTES);
      const count = readNow(this.#fd, piece);
      if (count === 0) return;
      bytes += count;
      this.#take(piece.subarray(0, count));
    }
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    if (this.#socket !== undefined) this.#socket.destroy();
    else closeSync(this.#fd);
    this.#tellClosed();
  }
}

/** Whether some process holds it open for reading: the kernel's own word, which no reused process id can forge. */
export function isHeld(path: string): boolean {
  return tell(path, '');
}

/** Writes a few bytes, if somebody holds it open for reading. */
export function tell(path: string, text: string): boolean {
  let fd: number;
  try {
    fd = openSync(path, O_WRONLY | O_NONBLOCK);
  } catch {
    return false;
  }
  try {
    if (text !== '') writeSync(fd, text);
    return true;
  } catch {
    return false;
  } finally {
    closeSync(fd);
  }
}

/** 0 when it is empty (the kernel says `EAGAIN` then), or nobody writes to it any more. */
function readNow(fd: number, piece: Buffer): number {
  const { stackTraceLimit } = Error;
  // The exception is the answer that is expected, and its stack is what it costs.
  Error.stackTraceLimit = 0;
  try {
    return readSync(fd, piece);
  } catch {
    return 0;
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
}
