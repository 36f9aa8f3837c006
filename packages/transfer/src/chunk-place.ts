import { type ArtifactId, CHUNK_BYTES, type ChunkPlace } from '@podmesh/core';

/** How many chunks an artifact of this length has. */
export function countChunks(bytes: number): number {
  return Math.ceil(bytes / CHUNK_BYTES);
}

export function chunkPlace(artifact: ArtifactId, bytes: number, index: number): ChunkPlace {
  const offset = index * CHUNK_BYTES;
  return { artifact, index, offset, bytes: Math.min(CHUNK_BYTES, bytes - offset) };
}
