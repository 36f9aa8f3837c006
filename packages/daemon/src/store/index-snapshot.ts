import { open, readFile, rename, rm } from 'node:fs/promises';
import type { ArtifactId } from '@podmesh/core';
import type { StoreIndex, WholeEntry, WholeRank } from './store-index.ts';
import { artifactOfHex, hexOf, type StorePlaces } from './store-places.ts';

/** Of another version: then it is as if there were none. */
const HEADER = 'podmesh-index 1';
/** Written at once: making the text of a large store in one go would hold up everything else. */
const BATCH = 2_000;
const RANKS: readonly string[] = ['done', 'copy', 'kept'] satisfies WholeRank[];

export type SnapshotEntry = Omit<WholeEntry, 'hasExecutable'>;

/** Writes down when what was used last, and what it is worth. Nothing depends on it: not synced. */
export async function writeSnapshot(places: StorePlaces, index: StoreIndex): Promise<void> {
  const temporary = places.newTemporary();
  try {
    const file = await open(temporary, 'wx', 0o600);
    try {
      for (const batch of batches(index)) await file.writeFile(batch);
    } finally {
      await file.close();
    }
    await rename(temporary, places.snapshot);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

/** What the last snapshot told; lines that make no sense are left out. */
export async function readSnapshot(
  places: StorePlaces,
): Promise<ReadonlyMap<ArtifactId, SnapshotEntry>> {
  const text = await readFile(places.snapshot, 'utf8').catch(() => '');
  const [header, ...lines] = text.split('\n');
  return new Map(header === HEADER ? lines.flatMap((line) => parseLine(line)) : []);
}

function* batches(index: StoreIndex): Generator<string> {
  let lines = [HEADER];
  // A copy: the index goes on while this is written.
  for (const [artifact, { bytes, usedAtMs, rank }] of [...index.wholes()]) {
    lines.push(`${hexOf(artifact)} ${bytes} ${usedAtMs} ${rank}`);
    if (lines.length < BATCH) continue;
    yield `${lines.join('\n')}\n`;
    lines = [];
  }
  yield `${lines.join('\n')}\n`;
}

function parseLine(line: string): [ArtifactId, SnapshotEntry][] {
  const [hex = '', bytesText, usedText, rank = ''] = line.split(' ');
  const artifact = artifactOfHex(hex);
  const [bytes, usedAtMs] = [Number(bytesText), Number(usedText)];
  if (artifact === undefined || !RANKS.includes(rank)) return [];
  if (!Number.isSafeInteger(bytes) || bytes < 0 || !Number.isFinite(usedAtMs)) return [];
  return [[artifact, { bytes, usedAtMs, rank: rank as WholeRank }]];
}
