import type { ActionDigest, ArtifactId } from '../words/ids.ts';

const FIRST_SLOTS = 1 << 10;
const PREFIX = 'sha256:'.length;

/**
 * Many digests in little memory: 8 bytes of each, which is more than enough to tell them apart. Two that begin alike count
 * as one: whoever asks "may it go?" of what is in the set errs on the side of keeping.
 */
export class DigestSet {
  #slots = new Uint32Array(2 * FIRST_SLOTS);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  has(digest: ArtifactId | ActionDigest): boolean {
    const [high, low] = wordsOf(digest);
    const at = this.#find(this.#slots, high, low);
    return this.#slots[at] === high && this.#slots[at + 1] === low;
  }

  /** Whether it is new. */
  add(digest: ArtifactId | ActionDigest): boolean {
    if (4 * this.#size >= this.#slots.length) this.#grow();
    const [high, low] = wordsOf(digest);
    const at = this.#find(this.#slots, high, low);
    if (this.#slots[at] === high && this.#slots[at + 1] === low) return false;
    this.#slots[at] = high;
    this.#slots[at + 1] = low;
    this.#size += 1;
    return true;
  }

  #grow(): void {
    const old = this.#slots;
    const slots = new Uint32Array(2 * old.length);
    for (let at = 0; at < old.length; at += 2) {
      const [high, low] = [old[at] ?? 0, old[at + 1] ?? 0];
      if (high === 0 && low === 0) continue;
      const to = this.#find(slots, high, low);
      slots[to] = high;
      slots[to + 1] = low;
    }
    this.#slots = slots;
  }

  /** Where it is, or the free place where it belongs: never more than half of them are taken. */
  #find(slots: Uint32Array, high: number, low: number): number {
    const mask = slots.length / 2 - 1;
    for (let slot = low & mask; ; slot = (slot + 1) & mask) {
      const at = 2 * slot;
      if (slots[at] === 0 && slots[at + 1] === 0) return at;
      if (slots[at] === high && slots[at + 1] === low) return at;
    }
  }
}

/** A place with two zeros is free, so no digest may be those. */
function wordsOf(digest: string): readonly [number, number] {
  const high = Number.parseInt(digest.slice(PREFIX, PREFIX + 8), 16);
  const low = Number.parseInt(digest.slice(PREFIX + 8, PREFIX + 16), 16);
  return [high, high === 0 && low === 0 ? 1 : low];
}
