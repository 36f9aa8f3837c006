import { areCompatible, type PeerEntry } from '@podmesh/core';
import type { Finding } from '../home/daemon-program.ts';

/** Whether all versions of podmesh in the mesh, this program's included, work together. */
export function versionsFinding(own: string, peers: readonly PeerEntry[]): Finding {
  const check = 'versions';
  const holders = new Map<string, string[]>();
  for (const { peer, version } of peers) {
    holders.set(version, [...(holders.get(version) ?? []), peer]);
  }
  const versions = [...new Set([own, ...holders.keys()])];
  if (versions.length === 1) return { check, ok: true, required: true, found: `${own} everywhere` };
  const told = [...holders].map(([version, names]) => `${names.join(', ')}: ${version}`);
  const found = `this program: ${own}; ${told.join('; ')}`;
  const isApart = versions.some((one) => versions.some((other) => !areCompatible(one, other)));
  const repair = isApart
    ? 'Versions more than one minor version apart misread each other. Upgrade the older ones, one minor version at a time.'
    : 'They work together; bring all to the same version when it suits.';
  return { check, ok: false, required: isApart, found, repair };
}
