import type { Capacity, Requirements } from '@podmesh/core';
import { fits } from '@podmesh/core';
import type { WakeUp } from '../wake-up.ts';

/** What a task holds of the machine until it gives it back. */
export interface Reservation {
  /** Harmless when called twice. */
  release(): void;
  /** Its cores are free for others, who use them meanwhile; its memory is not. Harmless when called twice. */
  lendCores(): void;
  /** At once, also when that makes more than there are. Harmless when none are lent. */
  takeCoresBack(): void;
}

/** Keeps count of what of the offered capacity is taken. Every reservation is made before work starts. */
export class CapacityLedger {
  /** All that may ever be offered. */
  readonly full: Capacity;
  #capacity: Capacity;
  readonly #changed: WakeUp;
  readonly #taken = new Set<Requirements>();
  /** Entries whose cores are lent. */
  readonly #lent = new Set<Requirements>();

  constructor(capacity: Capacity, changed: WakeUp) {
    this.full = capacity;
    this.#capacity = capacity;
    this.#changed = changed;
  }

  /** Offers these shares (0 to 1) of cores and memory from now on; what is taken stays taken. */
  offer({ cpus, memory }: { readonly cpus: number; readonly memory: number }): void {
    this.#capacity = {
      ...this.full,
      // Quarters, as requirements are counted (`toRequirements`).
      cpus: cpus === 1 ? this.full.cpus : Math.floor(this.full.cpus * cpus * 4) / 4,
      memoryBytes: Math.floor(this.full.memoryBytes * memory),
    };
    this.#changed.ring();
  }

  /** What is offered at present. */
  get capacity(): Capacity {
    return this.#capacity;
  }

  /** Cores that are at work for tasks; lent ones are not. */
  get takenCores(): number {
    return [...this.#taken].reduce((sum, { cpus }) => sum + cpus, 0) - this.#lentCores;
  }

  get #lentCores(): number {
    return [...this.#lent].reduce((sum, { cpus }) => sum + cpus, 0);
  }

  get reservations(): number {
    return this.#taken.size;
  }

  free(): Capacity {
    let { cpus, memoryBytes, diskBytes, gpus } = this.#capacity;
    for (const taken of this.#taken) {
      if (!this.#lent.has(taken)) cpus -= taken.cpus;
      memoryBytes -= taken.memoryBytes;
      diskBytes -= taken.diskBytes;
      gpus -= taken.gpus;
    }
    // Less than none while tasks that waited have taken their cores back, or less is offered than was.
    return { cpus: Math.max(0, cpus), memoryBytes: Math.max(0, memoryBytes), diskBytes, gpus };
  }

  /** How many more such tasks fit now. */
  room(requirements: Requirements): number {
    const free = this.free();
    const fold = (have: number, need: number): number =>
      need === 0 ? Number.POSITIVE_INFINITY : Math.floor(have / need + 1e-9);
    const room = Math.min(
      fold(free.cpus, requirements.cpus),
      fold(free.memoryBytes, requirements.memoryBytes),
      fold(free.diskBytes, requirements.diskBytes),
      fold(free.gpus, requirements.gpus),
    );
    return Math.max(0, room);
  }

  /** Undefined when it does not fit any more. `sharesCores`: with one that waits for it, or is to lend its own in a moment. */
  reserve(requirements: Requirements, sharesCores = false): Reservation | undefined {
    const asked = sharesCores ? { ...requirements, cpus: 0 } : requirements;
    if (!fits(asked, this.free())) return undefined;
    // A copy, so that equal requirements of two tasks are two entries.
    const entry = { ...requirements };
    this.#taken.add(entry);
    return {
      release: () => {
        this.#lent.delete(entry);
        if (this.#taken.delete(entry)) this.#changed.ring();
      },
      lendCores: () => {
        if (!this.#taken.has(entry) || this.#lent.has(entry)) return;
        this.#lent.add(entry);
        this.#changed.ring();
      },
      takeCoresBack: () => {
        this.#lent.delete(entry);
      },
    };
  }
}
