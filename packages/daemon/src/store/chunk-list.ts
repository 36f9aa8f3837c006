import { mkdir, open, readFile, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { type ArtifactId, CHUNK_BYTES, type ChunkList } from '@podmesh/core';
import { countChunks } from '@podmesh/transfer';
import { hexOf, type StorePlaces } from './store-places.ts';

const DIGEST_BYTES = 32;

/** The list of what fits into one chunk needs no file: the artifact's name says it. */
export function impliedChunkList(artifact: ArtifactId, bytes: number): ChunkList | undefined {
  if (bytes > CHUNK_BYTES) return undefined;
  return { bytes, digests: bytes === 0 ? [] : [hexOf(artifact)] };
}

/** Undefined: it was never made, or is not what it should be. */
export async function readChunkList(
  places: StorePlaces,
  artifact: ArtifactId,
  bytes: number,
): Promise<ChunkList | undefined> {
  const raw = await readFile(places.chunkList(artifact)).catch(() => undefined);
  if (raw === undefined || raw.length !== countChunks(bytes) * DIGEST_BYTES) return undefined;
  const digests = Array.from({ length: countChunks(bytes) }, (_, index) =>
    raw.toString('hex', index * DIGEST_BYTES, (index + 1) * DIGEST_BYTES),
  );
  return { bytes, digests };
}

/** Synced, because a torn list would look like one: others would take its owner for a liar. */
export async function writeChunkList(
  places: StorePlaces,
  artifact: ArtifactId,
  digests: readonly string[],
): Promise<void> {
  const temporary = places.newTemporary();
  try {
    const file = await open(temporary, 'wx', 0o600);
    try {
      await file.writeFile(Buffer.from(digests.join(''), 'hex'));
      await file.sync();
    } finally {
      await file.close();
    }
    const path = places.chunkList(artifact);
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}
