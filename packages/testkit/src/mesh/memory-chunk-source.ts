import { createHash } from 'node:crypto';
import {
  type ArtifactId,
  CHUNK_BYTES,
  type ChunkList,
  type ChunkPlace,
  type ChunkSource,
} from '@podmesh/core';
import { type SampleArtifact, sampleArtifact } from '../samples.ts';

interface Stored {
  readonly bytes: Uint8Array;
  readonly list: ChunkList;
  readonly here: Set<number>;
}

/** The store of a peer, in memory, that others are served from. */
export class MemoryChunkSource implements ChunkSource {
  private readonly stored = new Map<ArtifactId, Stored>();

  /** Stores it; its name and its bytes. */
  add(bytes: Uint8Array): SampleArtifact {
    const sample = sampleArtifact(bytes);
    const list = chunkListOf(bytes);
    const here = new Set(list.digests.keys());
    this.stored.set(sample.ref.digest, { bytes, list, here });
    return sample;
  }

  /** This chunk is not here any more, or not yet. */
  loseChunk(artifact: ArtifactId, index: number): void {
    this.stored.get(artifact)?.here.delete(index);
  }

  async chunkList(artifact: ArtifactId): Promise<ChunkList | undefined> {
    return this.stored.get(artifact)?.list;
  }

  async read({ artifact, index, offset, bytes }: ChunkPlace): Promise<Uint8Array | undefined> {
    const stored = this.stored.get(artifact);
    if (stored === undefined || !stored.here.has(index)) return undefined;
    return stored.bytes.slice(offset, offset + bytes);
  }
}

/** Where the chunks of an artifact of so many bytes are. */
export function chunkPlaces(artifact: ArtifactId, bytes: number): ChunkPlace[] {
  return Array.from({ length: Math.ceil(bytes / CHUNK_BYTES) }, (_, index) => {
    const offset = index * CHUNK_BYTES;
    return { artifact, index, offset, bytes: Math.min(CHUNK_BYTES, bytes - offset) };
  });
}

/** The chunk list of these bytes. */
export function chunkListOf(bytes: Uint8Array): ChunkList {
  const digests: string[] = [];
  for (let start = 0; start < bytes.length; start += CHUNK_BYTES) {
    const chunk = bytes.subarray(start, start + CHUNK_BYTES);
    digests.push(createHash('sha256').update(chunk).digest('hex'));
  }
  return { bytes: bytes.length, digests };
}
