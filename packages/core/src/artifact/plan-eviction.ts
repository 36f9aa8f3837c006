import type { ArtifactId, ClaimId, RunId, TaskId } from '../words/ids.ts';

/**
 * How much an artifact's bytes on this disk are worth, least first. `partial`: not whole, and left alone for long.
 * `done`: nobody is going to read it. `copy`: others have it. `kept`: somebody counts on this very copy.
 */
export type EvictionRank = 'partial' | 'done' | 'copy' | 'kept';

/** Why bytes must stay, whatever else has to give way. */
export type PinReason =
  /** `of`: the directory that it belongs to; the claim is then of whoever read that first. */
  | { readonly kind: 'input'; readonly claim: ClaimId; readonly of?: ArtifactId }
  /** `apart`: no output of a success, but a log, or what an attempt that failed left. */
  | {
      readonly kind: 'unreplicated';
      readonly run: RunId;
      readonly task: TaskId;
      readonly apart?: true;
    }
  | { readonly kind: 'transfer' }
  /** Of an image that a tag means, or that is being pushed or pulled. */
  | { readonly kind: 'image' }
  | { readonly kind: 'person' };

/** What the store has of an artifact, and what removing it would free. */
export interface StoredEntry {
  readonly artifact: ArtifactId;
  readonly bytes: number;
  readonly usedAtMs: number;
  readonly rank: EvictionRank;
  readonly pins: readonly PinReason[];
}

export interface DiskLimits {
  /** Evictions leave the store at least this. */
  readonly floorBytes: number;
  /** Above this the store gives up what nobody counts on; never a reason to refuse anything. */
  readonly ceilingBytes: number;
  /** What is to stay free on the disk for everybody else. */
  readonly minFreeBytes: number;
}

export interface DiskView {
  readonly storeBytes: number;
  readonly freeBytes: number;
  /** What is about to be written into the store. */
  readonly neededBytes: number;
}

export interface EvictionPlan {
  /** In this order. */
  readonly evict: readonly ArtifactId[];
  /** The room cannot be had. `pins`: all that is left is pinned; `floor`: the store is as small as it may become. */
  readonly refuse?: { readonly shortBytes: number; readonly because: 'floor' | 'pins' };
}

const ORDER: Readonly<Record<EvictionRank, number>> = { partial: 0, done: 1, copy: 2, kept: 3 };

/**
 * What has to go so that `neededBytes` fit: least worth first, among equals the least recently used. `kept` gives
 * way to the free space that is to stay, not to the ceiling. Where the room cannot be had, nothing is given up in
 * vain: the plan is that of nothing needed.
 */
export function planEviction(
  entries: readonly StoredEntry[],
  limits: DiskLimits,
  view: DiskView,
): EvictionPlan {
  const plan = choose(entries, limits, view);
  if (plan.refuse === undefined || view.neededBytes === 0) return plan;
  return { evict: choose(entries, limits, { ...view, neededBytes: 0 }).evict, refuse: plan.refuse };
}

/** Limits for a disk of this size whose owner named none. */
export function defaultDiskLimits(diskBytes: number): DiskLimits {
  return {
    floorBytes: Math.min(10 * 2 ** 30, Math.floor(diskBytes * 0.1)),
    ceilingBytes: Math.floor(diskBytes * 0.75),
    minFreeBytes: Math.min(20 * 2 ** 30, Math.floor(diskBytes * 0.2)),
  };
}

function choose(
  entries: readonly StoredEntry[],
  limits: DiskLimits,
  { storeBytes, freeBytes, neededBytes }: DiskView,
): EvictionPlan {
  const wantedFree = limits.minFreeBytes + neededBytes - freeBytes;
  const overCeiling = storeBytes + neededBytes - limits.ceilingBytes;
  const evict: ArtifactId[] = [];
  let freed = 0;
  let isAtFloor = false;
  for (const { artifact, bytes, rank } of inOrder(entries, wantedFree > 0)) {
    if (freed >= wantedFree && (freed >= overCeiling || rank === 'kept')) break;
    if (storeBytes - freed - bytes < limits.floorBytes) {
      isAtFloor = true;
      continue;
    }
    evict.push(artifact);
    freed += bytes;
  }
  if (freed >= wantedFree) return { evict };
  const because = !isAtFloor && entries.some(isPinned) ? 'pins' : 'floor';
  return { evict, refuse: { shortBytes: wantedFree - freed, because } };
}

/** A store has many entries, and most are kept: they are not sorted for nothing. */
function inOrder(entries: readonly StoredEntry[], withKept: boolean): readonly StoredEntry[] {
  return entries
    .filter((entry) => !isPinned(entry) && (withKept || entry.rank !== 'kept'))
    .sort((a, b) => ORDER[a.rank] - ORDER[b.rank] || a.usedAtMs - b.usedAtMs);
}

function isPinned(entry: StoredEntry): boolean {
  return entry.pins.length > 0;
}
