import { readFile } from 'node:fs/promises';
import {
  type ArtifactId,
  type DiskLimits,
  DOCUMENT_BYTES_MAX,
  type EvictionRank,
  type PinReason,
  planEviction,
  type Tree,
} from '@podmesh/core';
import { LISTING_START, parseTree } from '@podmesh/jetstream';
import { isAbsence } from './absence.ts';
import type { DiskStore } from './disk-store.ts';
import { hexOf } from './store-places.ts';
import { treeMembers } from './tree-members.ts';
import type { Mended, WrongBytes } from './wrong-bytes.ts';

export interface CachedArtifact {
  readonly artifact: ArtifactId;
  /** On the disk, with what was made of it. */
  readonly bytes: number;
  readonly usedAtMs: number;
  readonly rank: EvictionRank;
  /** Why it stays, whatever else has to go. */
  readonly pins: readonly PinReason[];
}

export interface CacheListing {
  readonly root: string;
  readonly limits: DiskLimits;
  readonly storeBytes: number;
  readonly reservedBytes: number;
  /** The last used first. */
  readonly artifacts: readonly CachedArtifact[];
}

export interface Pruned {
  readonly removed: readonly ArtifactId[];
  readonly removedBytes: number;
  readonly storeBytes: number;
}

export interface Verified {
  readonly checked: number;
  readonly checkedBytes: number;
  /** Had other bytes than their names say, and what became of them. */
  readonly wrong: readonly Mended[];
  /** Not here. */
  readonly missing: readonly ArtifactId[];
}

const NO_TREE: Tree = { podmeshTree: 1, entries: [] };

/** What a person does with the artifacts of one peer. */
export class CacheAdmin {
  readonly #store: DiskStore;
  readonly #wrongBytes: Pick<WrongBytes, 'mend'>;

  constructor(store: DiskStore, wrongBytes: Pick<WrongBytes, 'mend'>) {
    this.#store = store;
    this.#wrongBytes = wrongBytes;
  }

  async list(): Promise<CacheListing> {
    const { index, budget, places } = this.#store;
    return {
      root: places.root,
      limits: await budget.limits(),
      storeBytes: index.storeBytes(),
      reservedBytes: budget.reservedBytes,
      artifacts: this.#entries().toSorted((a, b) => b.usedAtMs - a.usedAtMs),
    };
  }

  /**
   * Pins survive restarts. What is not here may be pinned, too: for when it comes. Of a directory that is here,
   * everything below its listing is pinned with it.
   */
  async pin(artifacts: readonly ArtifactId[]): Promise<void> {
    // At once, so that nothing of it goes while its listings are read.
    await this.#store.pins.pinForPerson(artifacts);
    const members = await this.#membersOf(artifacts);
    if (members.length > 0) await this.#store.pins.pinForPerson(members);
  }

  async unpin(artifacts: readonly ArtifactId[]): Promise<void> {
    const members = await this.#membersOf(artifacts);
    await this.#store.pins.unpinForPerson([...artifacts, ...members]);
  }

  async #membersOf(artifacts: readonly ArtifactId[]): Promise<readonly ArtifactId[]> {
    const members: ArtifactId[] = [];
    const readTree = (listing: ArtifactId) => this.#treeOf(listing);
    for (const artifact of artifacts) {
      // One by one: so many arguments as a tree may have entries no call can have.
      for (const member of await treeMembers(readTree, artifact)) members.push(member);
    }
    return members;
  }

  /** The store does not know what a directory is: it is what reads as a listing. Else it has no entries. */
  async #treeOf(artifact: ArtifactId): Promise<Tree> {
    const bytes = this.#store.index.whole(artifact)?.bytes ?? Number.POSITIVE_INFINITY;
    if (bytes > DOCUMENT_BYTES_MAX) return NO_TREE;
    try {
      const text = await readFile(this.#store.pathOf(artifact));
      // Spares the parser most of what is none.
      return text.subarray(0, LISTING_START.length).equals(LISTING_START)
        ? parseTree(text, artifact)
        : NO_TREE;
    } catch {
      return NO_TREE;
    }
  }

  /**
   * Without `to`: removes partials and what nobody is going to read. With it: goes on, in the order of evictions,
   * until the store has no more than that; the floor is for evictions, not for people. Never what is pinned or in use.
   */
  async prune({ to }: { readonly to?: number } = {}): Promise<Pruned> {
    const entries = this.#entries();
    const before = this.#store.index.storeBytes();
    const spare = entries.filter(({ rank, pins }) => isSpare(rank) && pins.length === 0);
    const chosen =
      to === undefined ? spare.map(({ artifact }) => artifact) : shrinkTo(to, entries, before);
    const seen = new Map(entries.map(({ artifact, usedAtMs }) => [artifact, usedAtMs]));
    const removed: ArtifactId[] = [];
    for (const artifact of chosen) {
      // What was pinned or used since we looked stays, as with evictions.
      if (await this.#store.removeUnused(artifact, seen.get(artifact) ?? 0)) removed.push(artifact);
    }
    const storeBytes = this.#store.index.storeBytes();
    return { removed, removedBytes: before - storeBytes, storeBytes };
  }

  /** Hashes artifacts, all of them where none are named; what is wrong is out of use when this resolves. */
  async verify(
    ids?: readonly ArtifactId[],
    signal: AbortSignal = new AbortController().signal,
  ): Promise<Verified> {
    const wrong: Mended[] = [];
    const missing: ArtifactId[] = [];
    let [checked, checkedBytes] = [0, 0];
    for (const artifact of ids ?? [...this.#store.index.wholes()].map(([id]) => id)) {
      signal.throwIfAborted();
      const hash = await this.#hash(artifact, this.#store.pathOf(artifact));
      if (hash === undefined) {
        this.#store.index.forgetWhole(artifact);
        missing.push(artifact);
        continue;
      }
      checked += 1;
      checkedBytes += hash.bytes;
      const what = hash.isRight ? await this.#wrongCopy(artifact) : 'file';
      if (what !== undefined) wrong.push(await this.#wrongBytes.mend(artifact, what, signal));
    }
    return { checked, checkedBytes, wrong, missing };
  }

  async #wrongCopy(artifact: ArtifactId): Promise<'executable' | undefined> {
    const hash = await this.#hash(artifact, this.#store.places.executable(artifact));
    return hash?.isRight === false ? 'executable' : undefined;
  }

  /** Undefined: it is not there. */
  async #hash(artifact: ArtifactId, path: string) {
    try {
      const { sha256, bytes } = await this.#store.wholes.hashFile(path);
      return { bytes, isRight: sha256 === hexOf(artifact) };
    } catch (error) {
      if (!isAbsence(error)) throw error;
      return undefined;
    }
  }

  #entries() {
    const { index, pins } = this.#store;
    return index.entries((artifact) => pins.reasonsOf(artifact));
  }
}

function isSpare(rank: EvictionRank): boolean {
  return rank === 'partial' || rank === 'done';
}

/** As an eviction whose disk is that much too full. */
function shrinkTo(
  to: number,
  entries: Parameters<typeof planEviction>[0],
  storeBytes: number,
): readonly ArtifactId[] {
  const limits = {
    floorBytes: 0,
    ceilingBytes: Number.MAX_SAFE_INTEGER,
    minFreeBytes: Math.max(0, storeBytes - to),
  };
  return planEviction(entries, limits, { storeBytes, freeBytes: 0, neededBytes: 0 }).evict;
}
