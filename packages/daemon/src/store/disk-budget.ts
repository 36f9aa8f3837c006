import { statfs } from 'node:fs/promises';
import {
  type ArtifactId,
  type DiskLimits,
  type DiskView,
  defaultDiskLimits,
  type EvictionPlan,
  planEviction,
  SMALL_ARTIFACT_BYTES_MAX,
  type StoredEntry,
} from '@podmesh/core';
import type { ArtifactPins } from './artifact-pins.ts';
import { amount, diskFull } from './disk-full-error.ts';
import type { StoreIndex } from './store-index.ts';

/**
 * Evictions aim at the free space that is to stay; only below this is anything refused. It is where the daemon
 * begins to end tasks to save its machine.
 */
const REFUSE_BELOW_BYTES = 256 * 2 ** 20;
/** What is evicted may be linked from elsewhere, and free nothing: then more has to go. */
const ROUNDS_MAX = 5;
/** Once something has to go, this much more goes with it, or that share of the store: choosing among 100,000 takes a while. */
const AHEAD_BYTES = 2 ** 30;
const AHEAD_SHARE = 0.05;
/** Room for a stream of unknown length is made sure of in such steps. */
export const RESERVE_STEP_BYTES = 64 * 2 ** 20;

export interface DiskMeasure {
  readonly totalBytes: number;
  /** For ordinary users; the reserve of root is none. */
  readonly freeBytes: number;
}

export interface DiskBudgetParts {
  readonly root: string;
  readonly index: StoreIndex;
  readonly pins: ArtifactPins;
  /** Removes an artifact and everything that was made of it, unless it is pinned or was used after `seenAtMs`. */
  readonly remove: (artifact: ArtifactId, seenAtMs: number) => Promise<unknown>;
  /** Removes the folders that link to artifacts and that nobody reads. */
  readonly dropTrees?: () => Promise<void>;
  /** Overrides `defaultDiskLimits`. */
  readonly limits?: Partial<DiskLimits>;
  readonly measure?: () => Promise<DiskMeasure>;
}

/** Room on the disk that was made sure of, for as long as it is held. */
export interface Reservation {
  /** More room. Throws `DiskFullError`. */
  grow(bytes: number): Promise<void>;
  /** So many of its bytes are on the disk now, and seen by whoever measures it. */
  wrote(bytes: number): void;
  /** Gives back what was not written. Harmless twice. */
  release(): void;
}

/** Sees that what is written has room, and evicts for it by {@link planEviction}; one eviction at a time. */
export class DiskBudget {
  readonly #parts: DiskBudgetParts;
  readonly #measure: () => Promise<DiskMeasure>;
  #reservedBytes = 0;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(parts: DiskBudgetParts) {
    this.#parts = parts;
    this.#measure = parts.measure ?? (() => measureDisk(parts.root));
  }

  /** Makes sure of the room before anything is written. Throws `DiskFullError`. */
  async reserve(bytes: number): Promise<Reservation> {
    const reservation = this.#newReservation();
    await reservation.grow(bytes);
    return reservation;
  }

  async limits(): Promise<DiskLimits> {
    return this.#limitsOf(await this.#measure());
  }

  /** Roughly what could be written if everything gave way that may; for peers that look for a place. */
  async roomForCopies(): Promise<number> {
    const { index, pins } = this.#parts;
    const disk = await this.#measure();
    const { minFreeBytes, floorBytes } = this.#limitsOf(disk);
    let spareBytes = 0;
    for (const entry of index.entries((artifact) => pins.reasonsOf(artifact)))
      if (entry.pins.length === 0) spareBytes += entry.bytes;
    const evictable = Math.max(0, Math.min(spareBytes, index.storeBytes() - floorBytes));
    return Math.max(0, disk.freeBytes + evictable - minFreeBytes - this.#reservedBytes);
  }

  /** What could be written before anything has to give way. */
  async freeRoom(): Promise<number> {
    const disk = await this.#measure();
    const { minFreeBytes, ceilingBytes } = this.#limitsOf(disk);
    const toCeiling = ceilingBytes - this.#parts.index.storeBytes();
    const room = Math.min(disk.freeBytes - minFreeBytes, toCeiling);
    return Math.max(0, room - this.#reservedBytes);
  }

  /** Bytes that were made sure of and are not written yet. */
  get reservedBytes(): number {
    return this.#reservedBytes;
  }

  #newReservation(): Reservation {
    let left = 0;
    const take = (bytes: number): void => {
      left += bytes;
      this.#reservedBytes += bytes;
    };
    return {
      grow: (bytes) =>
        this.#inTurn(async () => {
          await this.#makeRoom(bytes);
          take(bytes);
        }),
      wrote: (bytes) => take(-Math.min(left, bytes)),
      release: () => take(-left),
    };
  }

  async #makeRoom(bytes: number): Promise<void> {
    const neededBytes = bytes + this.#reservedBytes;
    for (let round = 1; ; round += 1) {
      const disk = await this.#measure();
      const limits = this.#limitsOf(disk);
      const { index, pins } = this.#parts;
      const view: DiskView = { storeBytes: index.storeBytes(), ...disk, neededBytes };
      if (hasRoom(limits, view)) return;
      if (round === 2) {
        // What was evicted freed too little: folders link to the same bytes.
        await this.#parts.dropTrees?.();
        continue;
      }
      const entries = index.entries((artifact) => pins.reasonsOf(artifact));
      const minFreeBytes = Math.min(limits.minFreeBytes, REFUSE_BELOW_BYTES);
      const isShort = disk.freeBytes < neededBytes + minFreeBytes;
      let plan = planAhead(entries, limits, view);
      // What cannot be had in full may still be had in need.
      if (plan.refuse !== undefined && isShort)
        plan = planEviction(entries, { ...limits, minFreeBytes }, view);
      const isOver = plan.evict.length === 0 || round === ROUNDS_MAX;
      if (isOver && !(isShort && round === 1)) {
        if (isShort) throw await this.#full(bytes, plan.refuse?.because, view);
        return;
      }
      await this.#evict(entries, plan.evict);
    }
  }

  /** What was pinned or used since the plan was made stays. */
  async #evict(entries: readonly StoredEntry[], evict: readonly ArtifactId[]): Promise<void> {
    const { remove } = this.#parts;
    const seen = new Map(entries.map(({ artifact, usedAtMs }) => [artifact, usedAtMs]));
    for (const artifact of evict) await remove(artifact, seen.get(artifact) ?? 0);
  }

  #full(bytes: number, because: 'floor' | 'pins' | undefined, { storeBytes }: DiskView) {
    const held = `; the store there has ${amount(storeBytes)}`;
    const why = because === 'pins' ? ', and what is left of them is in use or pinned' : '';
    return diskFull({ path: this.#parts.root, neededBytes: bytes }, undefined, held + why);
  }

  #limitsOf({ totalBytes }: DiskMeasure): DiskLimits {
    return { ...defaultDiskLimits(totalBytes), ...this.#parts.limits };
  }

  #inTurn<Value>(work: () => Promise<Value>): Promise<Value> {
    const done = this.#turn.then(work);
    this.#turn = done.catch(() => undefined);
    return done;
  }
}

/** Room for bytes that come one after the other, nobody knows how many. */
export class StreamRoom {
  readonly path: string;
  readonly #budget: DiskBudget;
  #held: Reservation | undefined;
  #sureBytes = SMALL_ARTIFACT_BYTES_MAX;
  #neededBytes = 0;

  constructor(budget: DiskBudget, path: string) {
    this.#budget = budget;
    this.path = path;
  }

  /** All that was known to be needed. */
  get neededBytes(): number {
    return this.#neededBytes;
  }

  /** For the first `bytes` in all; those of an earlier call are written. */
  async makeFor(bytes: number): Promise<void> {
    this.#neededBytes = bytes;
    if (bytes <= this.#sureBytes) return;
    const more = Math.max(RESERVE_STEP_BYTES, bytes - this.#sureBytes);
    // What was sure until now is on the disk, but for what is written next.
    this.#held?.release();
    this.#held = await this.#budget.reserve(more);
    this.#sureBytes += more;
  }

  release(): void {
    this.#held?.release();
  }
}

function planAhead(
  entries: readonly StoredEntry[],
  limits: DiskLimits,
  view: DiskView,
): EvictionPlan {
  const aheadBytes = Math.min(AHEAD_BYTES, Math.floor(limits.ceilingBytes * AHEAD_SHARE));
  const neededBytes = view.neededBytes + aheadBytes;
  const ahead = planEviction(entries, limits, { ...view, neededBytes });
  return ahead.refuse === undefined ? ahead : planEviction(entries, limits, view);
}

function hasRoom(limits: DiskLimits, { storeBytes, freeBytes, neededBytes }: DiskView): boolean {
  return (
    freeBytes >= limits.minFreeBytes + neededBytes &&
    storeBytes + neededBytes <= limits.ceilingBytes
  );
}

async function measureDisk(path: string): Promise<DiskMeasure> {
  const { blocks, bavail, bsize } = await statfs(path);
  return { totalBytes: blocks * bsize, freeBytes: bavail * bsize };
}
