import {
  type ArtifactFinder,
  type ArtifactId,
  type ArtifactRef,
  type ArtifactStore,
  CHUNK_BYTES,
  type ChunkTransport,
  type Holding,
  OBJECT_ALWAYS_BYTES_MAX,
  PortError,
  WHO_HAS_ARTIFACTS_MAX,
} from '@podmesh/core';
import { forEachBounded } from './for-each-bounded.ts';
import { readFromPeers } from './read-from-peers.ts';
import { LISTING_START } from './tree-artifact.ts';

/** Small ones of which it is found out at the same time whether they are listings. */
const LOOKED_INTO_AT_ONCE = 8;

export interface MeshArtifactsParts {
  /** Small artifacts, and what people gave. */
  readonly objects: ArtifactStore;
  readonly finder: Pick<ArtifactFinder, 'whoHas'>;
  readonly transport: ChunkTransport;
  /** Overrides how long sources that broke off are left alone, in tests. */
  readonly retryMs?: number;
}

/**
 * All artifacts that can be had: those in the object store, and the large ones that are on the disks of peers alone.
 * Those are always files: listings of directories are in the object store, however long.
 */
export class MeshArtifacts implements ArtifactStore {
  readonly #parts: MeshArtifactsParts;

  constructor(parts: MeshArtifactsParts) {
    this.#parts = parts;
  }

  /** What no peer answers for within a second counts as not there: a reason to look again, and never that it is lost. */
  async stat(artifacts: readonly ArtifactId[]): Promise<ReadonlyMap<ArtifactId, ArtifactRef>> {
    const { objects } = this.#parts;
    const found = new Map(await objects.stat(artifacts));
    const open = [...new Set(artifacts)].filter((artifact) => !found.has(artifact));
    for (let from = 0; from < open.length; from += WHO_HAS_ARTIFACTS_MAX) {
      const asked = open.slice(from, from + WHO_HAS_ARTIFACTS_MAX);
      for (const ref of await this.#files(wholeFiles(await this.#holdings(asked))))
        found.set(ref.digest, ref);
    }
    return found;
  }

  /** Without small ones that may be listings: which peers may have, too, and nobody could say so. */
  async #files(held: readonly ArtifactRef[]): Promise<readonly ArtifactRef[]> {
    const files: ArtifactRef[] = [];
    await forEachBounded(held, LOOKED_INTO_AT_ONCE, async (ref) => {
      if (ref.bytes > OBJECT_ALWAYS_BYTES_MAX || !(await this.#isListing(ref))) files.push(ref);
    });
    return files;
  }

  async #isListing({ digest, bytes }: ArtifactRef): Promise<boolean> {
    if (bytes < LISTING_START.length) return false;
    try {
      for await (const piece of this.get(digest))
        return LISTING_START.equals(piece.subarray(0, LISTING_START.length));
    } catch (error) {
      if (!(error instanceof PortError)) throw error;
    }
    // It cannot be had now.
    return true;
  }

  /** Into the object store, whatever its size: who puts it there may have no disk that others reach. */
  put(artifact: ArtifactRef, bytes: AsyncIterable<Uint8Array>): Promise<void> {
    return this.#parts.objects.put(artifact, bytes);
  }

  async *get(artifact: ArtifactId): AsyncGenerator<Uint8Array, void, undefined> {
    const { objects, transport, retryMs } = this.#parts;
    const [stored] = (await objects.stat([artifact])).values();
    if (stored !== undefined) return yield* objects.get(artifact);
    const find = () => this.#sources(artifact);
    yield* readFromPeers({ artifact, find, transport, ...(retryMs && { retryMs }) });
  }

  /** Of one that is large all who say so at once: the first who answers need not be the last to stay. */
  async #sources(artifact: ArtifactId): Promise<readonly Holding[]> {
    const first = await this.#holdings([artifact]);
    if (first.every(({ bytes }) => bytes <= CHUNK_BYTES)) return first;
    const all = await this.#holdings([artifact], 'everybody');
    return all.length === 0 ? first : all;
  }

  async #holdings(
    artifacts: readonly ArtifactId[],
    until: 'first' | 'everybody' = 'first',
  ): Promise<readonly Holding[]> {
    if (artifacts.length === 0) return [];
    // Ends by itself, after a second.
    const never = new AbortController().signal;
    const { found } = await this.#parts.finder.whoHas(artifacts, until, never);
    return [...found.values()].flat();
  }
}

/** What is whole on the disk of a peer, as files: listings are in the object store, however long. */
export function wholeFiles(holdings: readonly Holding[]): readonly ArtifactRef[] {
  const whole = holdings.filter((holding) => holding.whole);
  const files = whole.map(({ artifact, bytes }): [ArtifactId, ArtifactRef] => [
    artifact,
    { digest: artifact, kind: 'file', bytes },
  ]);
  return [...new Map(files).values()];
}
