import type { Holders, Holding } from '@podmesh/core';
import type { CacheEntry, CacheListing } from '../cache/local-cache.ts';
import { alignColumns } from './align-columns.ts';
import { bytesText, countText, durationText } from './amounts.ts';
import { shortId } from './short-id.ts';

const HEADER = ['ARTIFACT', 'SIZE', 'COPY', 'WORTH', 'USED', 'STAYS'];

/** The daemon's artifacts as a table, and the disk below. */
export function cacheTable(listing: CacheListing): readonly string[] {
  const { artifacts } = listing;
  const table = artifacts.length === 0 ? [] : alignColumns([HEADER, ...artifacts.map(entryRow)]);
  return [...table, totalText(listing)];
}

function entryRow(entry: CacheEntry): readonly string[] {
  const { artifact, bytes, whole, rank, usedMsAgo, pins } = entry;
  return [
    shortId(artifact),
    bytesText(bytes),
    whole ? 'whole' : 'part',
    rank,
    `${durationText(usedMsAgo)} ago`,
    pins.join(', ') || '-',
  ];
}

function totalText({ artifacts, storeBytes, freeBytes, limits }: CacheListing): string {
  const { ceilingBytes, minFreeBytes } = limits;
  return (
    `${countText(artifacts.length, 'artifact')}, ${bytesText(storeBytes)} of at most ${bytesText(ceilingBytes)}; ` +
    `${bytesText(freeBytes)} are free on the disk, ${bytesText(minFreeBytes)} are to stay free`
  );
}

/** Who has an artifact, and who did not say. */
export function holderTable(
  holdings: readonly Holding[],
  inObjectStore: boolean,
  silent: Holders['silent'],
): readonly string[] {
  const sorted = [...holdings].sort((a, b) => (a.peer < b.peer ? -1 : 1));
  const rows = sorted.map(({ peer, bytes, whole }) => [
    peer,
    whole ? 'whole' : 'part',
    bytesText(bytes),
  ]);
  return [
    ...(rows.length === 0 ? ['no peer has it'] : alignColumns([['PEER', 'COPY', 'OF'], ...rows])),
    ...(inObjectStore ? ["the mesh's own object store has it"] : []),
    ...(silent.length === 0
      ? []
      : [`not known, because they do not answer: ${[...silent].sort().join(', ')}`]),
  ];
}
