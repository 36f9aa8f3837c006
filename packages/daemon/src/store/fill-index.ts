import { readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { ArtifactId } from '@podmesh/core';
import { isAbsence } from './absence.ts';
import { readSnapshot, type SnapshotEntry } from './index-snapshot.ts';
import type { StoreIndex } from './store-index.ts';
import { artifactOfHex, type StorePlaces } from './store-places.ts';

/** Files that are looked at together. */
const LOOKS_MAX = 64;
/** What the kernel counts blocks of a file in. */
const BLOCK_BYTES = 512;

/**
 * Fills the index with what is on the disk. The folders tell what there is; the last snapshot tells the rest, and
 * for what it does not know, because this daemon was killed before the next, the file itself does.
 */
export async function fillIndex(places: StorePlaces, index: StoreIndex): Promise<void> {
  const known = await readSnapshot(places);
  const executables = new Set(await artifactsIn(places.executables));
  const files = await artifactsIn(places.files);
  for (let at = 0; at < files.length; at += LOOKS_MAX) {
    await Promise.all(
      files.slice(at, at + LOOKS_MAX).map(async (artifact) => {
        const entry = known.get(artifact) ?? (await lookAt(places.file(artifact)));
        if (entry === undefined) return;
        const hasExecutable = executables.has(artifact);
        index.addWhole(artifact, entry.bytes, { ...entry, hasExecutable });
      }),
    );
  }
  await fillPartials(places, index);
  for (const artifact of executables) await sweep(index, artifact, places.executable(artifact));
  for (const artifact of await artifactsIn(places.chunkLists)) {
    await sweep(index, artifact, places.chunkList(artifact));
  }
}

async function fillPartials(places: StorePlaces, index: StoreIndex): Promise<void> {
  for (const name of await namesIn(places.partials)) {
    const artifact = artifactOfHex(name);
    const folder = join(places.partials, name);
    const found = await stat(join(folder, 'bytes')).catch(() => undefined);
    if (artifact === undefined || found === undefined || index.whole(artifact) !== undefined) {
      await rm(folder, { recursive: true, force: true });
      continue;
    }
    const { size, blocks, mtimeMs } = found;
    const hereBytes = blocks * BLOCK_BYTES;
    index.putPartial(artifact, { bytes: size, hereBytes, isOpen: false }, mtimeMs);
  }
}

/** A daemon that was killed at the wrong moment left what belongs to nothing. */
async function sweep(index: StoreIndex, artifact: ArtifactId, path: string): Promise<void> {
  if (index.whole(artifact) === undefined) await rm(path, { force: true });
}

/** Everything in the 256 folders of a folder; names that are not digests are not ours. */
async function artifactsIn(folder: string): Promise<readonly ArtifactId[]> {
  const artifacts: ArtifactId[] = [];
  for (const shard of await namesIn(folder)) {
    for (const name of await namesIn(join(folder, shard))) {
      const artifact = artifactOfHex(shard + name);
      if (artifact !== undefined) artifacts.push(artifact);
    }
  }
  return artifacts;
}

async function namesIn(folder: string): Promise<readonly string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    // Somebody's own file in our folder is no reason not to start.
    if (isAbsence(error) || (error instanceof Error && 'code' in error && error.code === 'ENOTDIR'))
      return [];
    throw error;
  }
}

async function lookAt(path: string): Promise<SnapshotEntry | undefined> {
  const found = await stat(path).catch(() => undefined);
  if (found === undefined) return undefined;
  return { bytes: found.size, usedAtMs: found.mtimeMs, rank: 'kept' };
}
