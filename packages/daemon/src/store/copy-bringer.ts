import type { ArtifactId, ArtifactRef, KeepOrder } from '@podmesh/core';
import { EMPTY_ARTIFACT, OBJECT_ALWAYS_BYTES_MAX } from '@podmesh/core';
import type { RunPins } from './run-pins.ts';
import type { TreeSource } from './tree-folder.ts';

/** Small files of a directory that are fetched at the same time; large ones come one by one. */
const SMALL_AT_ONCE = 8;

export interface CopyBringerParts {
  readonly pins: RunPins;
  /** Where the bytes come from, until the signal aborts; `large`: sizes of files, which no listing tells. */
  readonly sourceOf: (
    large: ReadonlyMap<ArtifactId, number>,
    signal: AbortSignal,
  ) => Pick<TreeSource, 'fetch' | 'readTree'>;
}

interface Coming {
  readonly pin: (artifacts: ReadonlySet<ArtifactId>) => void;
  readonly signal: AbortSignal;
}

/** Copies of other tasks' outputs on this disk, whole and pinned, on behalf of a driver. */
export class CopyBringer {
  readonly #parts: CopyBringerParts;

  constructor(parts: CopyBringerParts) {
    this.#parts = parts;
  }

  /** Whether all that is ordered is whole here, and pinned. */
  has(order: KeepOrder): boolean {
    return this.#parts.pins.hasAll(order, digestsOf(order));
  }

  /**
   * Resolves when `has`. Rejects with whatever kept it from that: the disk is full, nobody gives the bytes, the signal;
   * then nothing is pinned that was not before, and all that was. What came is worth as much as any copy.
   */
  async bring(order: KeepOrder, signal: AbortSignal): Promise<void> {
    const { pins, sourceOf } = this.#parts;
    const files = order.outputs.filter(({ kind }) => kind === 'file');
    const source = sourceOf(new Map(files.map(({ digest, bytes }) => [digest, bytes])), signal);
    const copies = new Map<ArtifactId, ReadonlySet<ArtifactId>>();
    const coming: (() => void)[] = [];
    // Pinned first and looked for then: in the other order it may go in between.
    const pin = (artifacts: ReadonlySet<ArtifactId>) =>
      void coming.push(pins.pinComing(order, artifacts));
    try {
      pin(new Set(digestsOf(order)));
      for (const { kind, digest } of order.outputs) {
        signal.throwIfAborted();
        if (digest === EMPTY_ARTIFACT) continue;
        if (kind === 'dir')
          copies.set(digest, await this.#bringDirectory(digest, source, { pin, signal }));
        else {
          await source.fetch(digest);
          if (!copies.has(digest)) copies.set(digest, new Set([digest]));
        }
      }
      await pins.holdCopies(order, copies);
    } finally {
      for (const letGo of coming) letGo();
    }
  }

  /** All that it consists of. */
  async #bringDirectory(
    listing: ArtifactId,
    { fetch, readTree }: Pick<TreeSource, 'fetch' | 'readTree'>,
    { pin, signal }: Coming,
  ): Promise<ReadonlySet<ArtifactId>> {
    const { listings, files } = await walk(listing, readTree);
    const all = new Set([...listings, ...files.keys()]);
    pin(all);
    const small: ArtifactId[] = [];
    for (const [file, bytes] of files) {
      signal.throwIfAborted();
      if (bytes > OBJECT_ALWAYS_BYTES_MAX) await fetch(file);
      else small.push(file);
    }
    const next = small.values();
    const fetchSome = async (): Promise<void> => {
      for (const file of next) {
        signal.throwIfAborted();
        await fetch(file);
      }
    };
    await Promise.all(Array.from({ length: SMALL_AT_ONCE }, fetchSome));
    return all;
  }
}

function digestsOf({ outputs }: KeepOrder): readonly ArtifactId[] {
  const digests = outputs.map(({ digest }: ArtifactRef) => digest);
  return digests.filter((digest) => digest !== EMPTY_ARTIFACT);
}

/** Everything below a listing, that included; files with their lengths. */
async function walk(listing: ArtifactId, readTree: TreeSource['readTree']) {
  const listings = new Set([listing]);
  const files = new Map<ArtifactId, number>();
  const unread = [listing];
  for (let next = unread.pop(); next !== undefined; next = unread.pop()) {
    for (const entry of (await readTree(next)).entries) {
      if (entry.kind === 'file' && entry.digest !== EMPTY_ARTIFACT)
        files.set(entry.digest, entry.bytes);
      if (entry.kind !== 'tree' || listings.has(entry.digest)) continue;
      listings.add(entry.digest);
      unread.push(entry.digest);
    }
  }
  return { listings, files };
}
