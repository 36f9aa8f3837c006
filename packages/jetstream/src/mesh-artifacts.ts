import {
  type ArtifactFinder,
  type ArtifactId,
  ArtifactMissingError,
  type ArtifactRef,
  type ArtifactStore,
  type ChunkTransport,
  type Holding,
  OBJECT_ALWAYS_BYTES_MAX,
  WHO_HAS_ARTIFACTS_MAX,
} from '@podmesh/core';
import { readFromPeers } from './read-from-peers.ts';

export interface MeshArtifactsParts {
  /** Small artifacts, and what people gave. */
  readonly objects: ArtifactStore;
  readonly finder: Pick<ArtifactFinder, 'whoHas'>;
  readonly transport: ChunkTransport;
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
      for (const ref of largeFiles(await this.#holdings(asked))) found.set(ref.digest, ref);
    }
    return found;
  }

  /** Into the object store, whatever its size: who puts it there may have no disk that others reach. */
  put(artifact: ArtifactRef, bytes: AsyncIterable<Uint8Array>): Promise<void> {
    return this.#parts.objects.put(artifact, bytes);
  }

  async *get(artifact: ArtifactId): AsyncGenerator<Uint8Array, void, undefined> {
    const { objects, transport } = this.#parts;
    const [stored] = (await objects.stat([artifact])).values();
    if (stored !== undefined) return yield* objects.get(artifact);
    const holdings = (await this.#holdings([artifact])).filter(({ whole }) => whole);
    if (holdings.length === 0) throw new ArtifactMissingError(artifact);
    yield* readFromPeers(artifact, holdings, transport);
  }

  async #holdings(artifacts: readonly ArtifactId[]): Promise<readonly Holding[]> {
    if (artifacts.length === 0) return [];
    // Ends by itself, after a second.
    const never = new AbortController().signal;
    const { found } = await this.#parts.finder.whoHas(artifacts, 'first', never);
    return [...found.values()].flat();
  }
}

/** The holdings of what may be on the disks of peers alone: with others a peer's word is not enough. */
export function largeFiles(holdings: readonly Holding[]): readonly ArtifactRef[] {
  return holdings.flatMap(({ artifact, bytes, whole }) =>
    whole && bytes > OBJECT_ALWAYS_BYTES_MAX
      ? [{ digest: artifact, kind: 'file' as const, bytes }]
      : [],
  );
}
