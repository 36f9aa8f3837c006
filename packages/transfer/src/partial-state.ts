import { readFile, rename, writeFile } from 'node:fs/promises';
import { CHUNK_BYTES, makeChunkMap, mapHas } from '@podmesh/core';
import { countChunks } from './chunk-place.ts';

/** Of an artifact that is not whole: which chunks were here when somebody looked last. */
export interface PartialState {
  readonly bytes: number;
  readonly here: ReadonlySet<number>;
}

/**
 * Writes it in place of the last one. Not synced: a state that tells too much is found out, because chunks are
 * hashed before anybody goes on with them; one that tells too little costs chunks that are fetched again.
 */
export async function writePartialState(path: string, state: PartialState): Promise<void> {
  const { bytes } = state;
  const here = Buffer.from(makeChunkMap(state.here, countChunks(bytes))).toString('base64');
  await writeFile(`${path}.new`, JSON.stringify({ bytes, chunkBytes: CHUNK_BYTES, here }), {
    mode: 0o600,
  });
  await rename(`${path}.new`, path);
}

/** Undefined: there is none that could be understood. */
export async function readPartialState(path: string): Promise<PartialState | undefined> {
  try {
    const { bytes, chunkBytes, here } = JSON.parse(await readFile(path, 'utf8')) ?? {};
    if (chunkBytes !== CHUNK_BYTES || typeof here !== 'string') return undefined;
    if (!Number.isSafeInteger(bytes) || bytes < 0) return undefined;
    const bitmap = Buffer.from(here, 'base64');
    const indexes = Array.from({ length: countChunks(bytes) }, (_, index) => index);
    return { bytes, here: new Set(indexes.filter((index) => mapHas(bitmap, index))) };
  } catch {
    return undefined;
  }
}
