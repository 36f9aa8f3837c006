import { RELAY_PARTS_MAX } from '@podmesh/core';

/**
 * Parts of one artifact that are on their way at the same time, `RELAY_PARTS_MAX` whatever the number of
 * chunks they belong to: each chunk has its equal share, and at least one.
 */
export class PartWindow {
  readonly #lines = new Set<PartLine>();
  #inFlight = 0;

  /** `onRoom` is called when there may be room for one more. */
  join(onRoom: () => void): PartLine {
    const line = new PartLine(onRoom, {
      take: (held) => this.#take(held),
      give: (count) => this.#give(count),
      leave: () => this.#lines.delete(line),
    });
    this.#lines.add(line);
    return line;
  }

  #take(held: number): boolean {
    const share = Math.max(1, Math.floor(RELAY_PARTS_MAX / this.#lines.size));
    if (held >= share || this.#inFlight >= RELAY_PARTS_MAX) return false;
    this.#inFlight += 1;
    return true;
  }

  #give(count: number): void {
    this.#inFlight -= count;
    for (const line of this.#lines) line.onRoom();
  }
}

interface Shared {
  readonly take: (held: number) => boolean;
  readonly give: (count: number) => void;
  readonly leave: () => void;
}

/** The part of a window that one chunk has. */
export class PartLine {
  readonly onRoom: () => void;
  readonly #shared: Shared;
  #held = 0;

  constructor(onRoom: () => void, shared: Shared) {
    this.onRoom = onRoom;
    this.#shared = shared;
  }

  /** False: no room now. */
  take(): boolean {
    if (!this.#shared.take(this.#held)) return false;
    this.#held += 1;
    return true;
  }

  give(): void {
    this.#held -= 1;
    this.#shared.give(1);
  }

  /** Gives all back. Harmless when called twice. */
  leave(): void {
    this.#shared.leave();
    const held = this.#held;
    this.#held = 0;
    this.#shared.give(held);
  }
}
