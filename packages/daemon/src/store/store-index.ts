import {
  type ArtifactId,
  CHUNK_BYTES,
  type EvictionRank,
  type Holding,
  makeChunkMap,
  type PinReason,
  type StoredEntry,
} from '@podmesh/core';

/** What was touched this short a time ago is in somebody's hands, who has not pinned it yet. */
const IN_HAND_MS = 10_000;
/** A partial that was left alone for this long goes before anything else; until then it is a copy like others. */
const PARTIAL_LEFT_MS = 60 * 60 * 1_000;
/** Uses of a tree that follow each other closer are one to its members. */
const TREE_USES_APART_MS = 60_000;
const IN_HAND: readonly PinReason[] = [{ kind: 'transfer' }];

export type WholeRank = Exclude<EvictionRank, 'partial'>;

export interface WholeEntry {
  readonly bytes: number;
  /** By anybody; what was used least recently goes first. */
  usedAtMs: number;
  rank: WholeRank;
  /** It is there a second time, with the executable bit. */
  hasExecutable: boolean;
}

interface HeldEntry extends WholeEntry {
  /** When it was last used by this machine: others who read it are no reason to keep it when room is needed. */
  heldAtMs: number;
}

export interface PartialEntry {
  /** Length of the artifact. */
  readonly bytes: number;
  /** Bytes that are here, and use room. */
  hereBytes: number;
  usedAtMs: number;
  /** Somebody puts it together: what is here is verified. */
  isOpen: boolean;
  /** Which chunks; absent of one that nobody has open. */
  readonly here?: ReadonlySet<number>;
}

/**
 * What the store has, in memory: answers for who-has and evictions need no disk. State and nothing else; the store
 * keeps it true.
 */
export class StoreIndex {
  readonly #nowMs: () => number;
  readonly #wholes = new Map<ArtifactId, HeldEntry>();
  readonly #partials = new Map<ArtifactId, PartialEntry>();
  /** Of trees: when the use of their members was last noted. */
  readonly #treesUsedAtMs = new Map<ArtifactId, number>();

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  whole(artifact: ArtifactId): Readonly<WholeEntry> | undefined {
    return this.#wholes.get(artifact);
  }

  partial(artifact: ArtifactId): Readonly<PartialEntry> | undefined {
    return this.#partials.get(artifact);
  }

  /** Whether it was last used here before it was seen as used at `seenAtMs`, and is in nobody's hands now. */
  isUnusedSince(artifact: ArtifactId, seenAtMs: number): boolean {
    const partial = this.#partials.get(artifact);
    const heldAtMs = this.#wholes.get(artifact)?.heldAtMs ?? partial?.usedAtMs;
    if (heldAtMs === undefined || partial?.isOpen === true) return false;
    return heldAtMs <= seenAtMs && !isInHand(this.#nowMs() - heldAtMs);
  }

  wholes(): IterableIterator<[ArtifactId, Readonly<WholeEntry>]> {
    return this.#wholes.entries();
  }

  /** Of what is here already, the use is new; its rank only rises: somebody counts on it now. */
  addWhole(artifact: ArtifactId, bytes: number, changes: Partial<WholeEntry> = {}): void {
    const before = this.#wholes.get(artifact);
    const rank = before?.rank === 'kept' ? 'kept' : (changes.rank ?? 'kept');
    const usedAtMs = changes.usedAtMs ?? this.#nowMs();
    this.#wholes.set(artifact, {
      bytes,
      usedAtMs,
      heldAtMs: usedAtMs,
      rank,
      hasExecutable: changes.hasExecutable ?? before?.hasExecutable ?? false,
    });
  }

  putPartial(
    artifact: ArtifactId,
    partial: Omit<PartialEntry, 'usedAtMs'>,
    usedAtMs?: number,
  ): void {
    this.#partials.set(artifact, { ...partial, usedAtMs: usedAtMs ?? this.#nowMs() });
  }

  forgetWhole(artifact: ArtifactId): void {
    this.#treesUsedAtMs.delete(artifact);
    this.#wholes.delete(artifact);
  }

  forgetPartial(artifact: ArtifactId): void {
    this.#partials.delete(artifact);
  }

  /** It was read for others: a use, but no reason not to evict it. */
  touch(artifact: ArtifactId): void {
    const entry = this.#wholes.get(artifact);
    if (entry !== undefined) entry.usedAtMs = this.#nowMs();
  }

  /** Somebody here has it in hand, and is going to pin it. */
  hold(artifact: ArtifactId): void {
    const entry = this.#wholes.get(artifact);
    if (entry === undefined) return;
    entry.usedAtMs = this.#nowMs();
    entry.heldAtMs = entry.usedAtMs;
  }

  /** Whether the members of a tree that is used now are to be touched: not again after a short time. */
  isTreeUseNews(listing: ArtifactId): boolean {
    const nowMs = this.#nowMs();
    const idleMs = nowMs - (this.#treesUsedAtMs.get(listing) ?? Number.NEGATIVE_INFINITY);
    if (idleMs >= 0 && idleMs < TREE_USES_APART_MS) return false;
    this.#treesUsedAtMs.set(listing, nowMs);
    return true;
  }

  setRank(artifact: ArtifactId, rank: WholeRank): void {
    const entry = this.#wholes.get(artifact);
    if (entry !== undefined) entry.rank = rank;
  }

  noteExecutable(artifact: ArtifactId, isThere = true): void {
    const entry = this.#wholes.get(artifact);
    if (entry !== undefined) entry.hasExecutable = isThere;
  }

  /** For {@link ArtifactFinder}: what of these is here, whole or in part. A partial that nobody has open is not verified. */
  holds(artifacts: readonly ArtifactId[]): readonly Omit<Holding, 'peer'>[] {
    return artifacts.flatMap((artifact): Omit<Holding, 'peer'>[] => {
      const whole = this.#wholes.get(artifact);
      if (whole !== undefined) return [{ artifact, bytes: whole.bytes, whole: true }];
      const partial = this.#partials.get(artifact);
      if (partial === undefined || !partial.isOpen) return [];
      const { bytes, here, hereBytes } = partial;
      const holding = { artifact, bytes, whole: false };
      // Who asks for one may be fetching it, and is to know who else does, before that has anything.
      if (here === undefined || artifacts.length > 1) return hereBytes === 0 ? [] : [holding];
      return [{ ...holding, here: makeChunkMap(here, Math.ceil(bytes / CHUNK_BYTES)) }];
    });
  }

  /** Bytes on the disk, partials and executables included. */
  storeBytes(): number {
    let bytes = 0;
    for (const whole of this.#wholes.values()) bytes += sizeOf(whole);
    for (const { hereBytes } of this.#partials.values()) bytes += hereBytes;
    return bytes;
  }

  /** Everything, as an eviction sees it. */
  entries(reasonsOf: (artifact: ArtifactId) => readonly PinReason[]): readonly StoredEntry[] {
    const nowMs = this.#nowMs();
    const listed: StoredEntry[] = [];
    for (const [artifact, whole] of this.#wholes) {
      const { usedAtMs, heldAtMs, rank } = whole;
      const bytes = sizeOf(whole) + (this.#partials.get(artifact)?.hereBytes ?? 0);
      const pins = pinsOf(reasonsOf(artifact), nowMs - heldAtMs);
      listed.push({ artifact, bytes, usedAtMs, rank, pins });
    }
    for (const [artifact, { hereBytes, usedAtMs, isOpen }] of this.#partials) {
      if (this.#wholes.has(artifact)) continue;
      const pins = isOpen ? IN_HAND : pinsOf(reasonsOf(artifact), nowMs - usedAtMs);
      const rank = nowMs - usedAtMs >= PARTIAL_LEFT_MS ? 'partial' : 'copy';
      listed.push({ artifact, bytes: hereBytes, usedAtMs, rank, pins });
    }
    return listed;
  }
}

function sizeOf({ bytes, hasExecutable }: WholeEntry): number {
  return hasExecutable ? 2 * bytes : bytes;
}

function pinsOf(reasons: readonly PinReason[], idleMs: number): readonly PinReason[] {
  if (reasons.length > 0) return reasons;
  return isInHand(idleMs) ? IN_HAND : reasons;
}

/** A clock that was set back must not protect for ever. */
function isInHand(idleMs: number): boolean {
  return idleMs >= 0 && idleMs < IN_HAND_MS;
}
