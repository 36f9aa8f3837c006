import { CHUNK_BYTES } from '@podmesh/core';

/** Bytes that threads share: what one writes the others read, and nothing is copied. */
export function sharedBytes(bytes: number): Uint8Array {
  return new Uint8Array(new SharedArrayBuffer(bytes));
}

/** Chunks' memory that is kept while nobody uses it. */
const KEPT_MAX = 8;

/**
 * Memory for chunks on their way, used again and again: fresh memory costs the kernel as much as receiving into it. How
 * much is taken at the same time is bounded by the transfers that take it.
 */
export class ChunkMemory {
  readonly #kept: Uint8Array[] = [];

  /** Works with so many bytes, which are somebody else's afterwards. */
  async lend<Value>(bytes: number, work: (memory: Uint8Array) => Promise<Value>): Promise<Value> {
    const whole = this.#kept.pop() ?? sharedBytes(CHUNK_BYTES);
    try {
      return await work(whole.subarray(0, bytes));
    } finally {
      if (this.#kept.length < KEPT_MAX) this.#kept.push(whole);
    }
  }
}
