import { type ChunkPlace, type ChunkSource, RELAY_SERVES_MAX } from '@podmesh/core';

/** Longer than the parts of one chunk take to be asked for, one after the other. */
const KEPT_MS = 5_000;

/**
 * Chunks that were read lately: a source reads whole chunks, and each is asked for in sixteen parts. As many
 * as are served at the same time, so 16 MiB at most; none when nothing was asked for.
 */
export class RecentChunks {
  readonly #source: ChunkSource;
  readonly #chunks = new Map<string, Promise<Uint8Array | undefined>>();
  #forgetting: NodeJS.Timeout | undefined;

  constructor(source: ChunkSource) {
    this.#source = source;
  }

  /** Undefined where it is not here, or cannot be read: to who asks, that is the same. */
  async read(chunk: ChunkPlace): Promise<Uint8Array | undefined> {
    const name = `${chunk.artifact}/${chunk.index}/${chunk.bytes}`;
    const reading = this.#chunks.get(name) ?? this.#readNew(chunk);
    this.#keep(name, reading);
    const bytes = await reading;
    if (bytes !== undefined) return bytes;
    // It may be here the next time.
    if (this.#chunks.get(name) === reading) this.#chunks.delete(name);
    return undefined;
  }

  async #readNew(chunk: ChunkPlace): Promise<Uint8Array | undefined> {
    try {
      const bytes = await this.#source.read(chunk);
      return bytes?.length === chunk.bytes ? bytes : undefined;
    } catch {
      // The store tells about its disk itself.
      return undefined;
    }
  }

  /** Forgets all. */
  clear(): void {
    clearTimeout(this.#forgetting);
    this.#chunks.clear();
  }

  #keep(name: string, reading: Promise<Uint8Array | undefined>): void {
    // Put in again: a Map is ordered by insertion, so the first one is always the oldest.
    this.#chunks.delete(name);
    this.#chunks.set(name, reading);
    const [oldest] = this.#chunks.keys();
    if (this.#chunks.size > RELAY_SERVES_MAX && oldest !== undefined) this.#chunks.delete(oldest);
    clearTimeout(this.#forgetting);
    this.#forgetting = setTimeout(() => this.clear(), KEPT_MS);
    this.#forgetting.unref();
  }
}
