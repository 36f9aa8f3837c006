import { open } from 'node:fs/promises';
import {
  type ArtifactId,
  assert,
  CHUNK_BYTES,
  type ChunkList,
  type ChunkPlace,
} from '@podmesh/core';
import {
  type ArtifactDisk,
  type ByteRange,
  chunkPlace,
  type PartialArtifact,
  type ServedStore,
} from '@podmesh/transfer';
import { isAbsence } from './absence.ts';
import type { DiskStore } from './disk-store.ts';
import { PartialFile } from './partial-file.ts';

/** {@link ArtifactDisk} over a {@link DiskStore}: what transfers put together becomes an artifact like any other. */
export class StoreDisk implements ArtifactDisk, ServedStore {
  readonly #store: DiskStore;
  readonly #open = new Map<ArtifactId, PartialFile>();

  constructor(store: DiskStore) {
    this.#store = store;
  }

  has(artifact: ArtifactId): Promise<boolean> {
    return this.#store.has(artifact);
  }

  async begin(artifact: ArtifactId, list: ChunkList): Promise<PartialArtifact> {
    assert(!this.#open.has(artifact), `${artifact} is being put together already`);
    const partial = new PartialFile(this.#store, artifact, list, () => {
      if (this.#open.get(artifact) === partial) this.#open.delete(artifact);
    });
    this.#open.set(artifact, partial);
    try {
      await partial.begin();
    } catch (error) {
      await partial.close();
      throw error;
    }
    return partial;
  }

  async chunkList(artifact: ArtifactId): Promise<ChunkList | undefined> {
    return (await this.#store.chunkList(artifact)) ?? this.#open.get(artifact)?.list;
  }

  find(artifact: ArtifactId): { readonly bytes: number; readonly isWhole: boolean } | undefined {
    const whole = this.#store.index.whole(artifact);
    if (whole !== undefined) return { bytes: whole.bytes, isWhole: true };
    const partial = this.#open.get(artifact);
    return partial === undefined ? undefined : { bytes: partial.list.bytes, isWhole: false };
  }

  /** To be fetched by others is a use. */
  pathOf(artifact: ArtifactId, { start, end }: ByteRange): string | undefined {
    const { index } = this.#store;
    if (index.whole(artifact) !== undefined) {
      index.touch(artifact);
      return this.#store.pathOf(artifact);
    }
    const partial = this.#open.get(artifact);
    if (partial === undefined) return undefined;
    for (let chunk = Math.floor(start / CHUNK_BYTES); chunk * CHUNK_BYTES < end; chunk += 1) {
      if (!partial.here.has(chunk)) return undefined;
    }
    return partial.path;
  }

  /** Reading for others counts as a use, but does not keep what has to go. */
  async read(chunk: ChunkPlace): Promise<Uint8Array | undefined> {
    const { artifact } = chunk;
    const partial = this.#open.get(artifact);
    if (partial !== undefined && isHere(partial, chunk)) {
      const bytes = await readAt(partial.path, chunk);
      if (bytes !== undefined) return bytes;
      // It was finished, or given up, while we looked.
    }
    const whole = this.#store.index.whole(artifact);
    if (whole === undefined || !isInside(whole.bytes, chunk)) return undefined;
    this.#store.index.touch(artifact);
    const bytes = await readAt(this.#store.pathOf(artifact), chunk);
    if (bytes === undefined) this.#store.index.forgetWhole(artifact);
    return bytes;
  }
}

/** Of a partial, only whole chunks are verified. */
function isHere({ here, list, artifact }: PartialFile, chunk: ChunkPlace): boolean {
  const place = chunkPlace(artifact, list.bytes, chunk.index);
  return here.has(chunk.index) && chunk.offset === place.offset && chunk.bytes === place.bytes;
}

function isInside(bytes: number, chunk: ChunkPlace): boolean {
  return chunk.offset >= 0 && chunk.bytes >= 0 && chunk.offset + chunk.bytes <= bytes;
}

/** Undefined: there is no such file, or it is shorter. */
async function readAt(path: string, chunk: ChunkPlace): Promise<Uint8Array | undefined> {
  try {
    const file = await open(path, 'r');
    try {
      // Not from the pool: whoever gets it may move it to another thread.
      const bytes = Buffer.allocUnsafeSlow(chunk.bytes);
      const { bytesRead } = await file.read(bytes, 0, chunk.bytes, chunk.offset);
      return bytesRead === chunk.bytes ? bytes : undefined;
    } finally {
      await file.close();
    }
  } catch (error) {
    if (isAbsence(error)) return undefined;
    throw error;
  }
}
