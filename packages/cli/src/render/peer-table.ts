import type { PeerEntry } from '@podmesh/core';
import { alignColumns } from './align-columns.ts';
import { bytesText } from './amounts.ts';

const HEADER = [
  'PEER',
  'HOST',
  'MACHINE',
  'CORES',
  'MEMORY',
  'DISK',
  'GPUS',
  'RUNS',
  'DRIVES',
  'LIMITS',
  'LABELS',
  'STATE',
];

/** The peers as a table; amounts are what is free of what is offered. */
export function peerTable(peers: readonly PeerEntry[]): readonly string[] {
  if (peers.length === 0) return ['no peer is there; start one with: podmesh up'];
  const sorted = [...peers].sort((a, b) => (a.peer < b.peer ? -1 : 1));
  return alignColumns([HEADER, ...sorted.map(row)]);
}

function row(entry: PeerEntry): readonly string[] {
  const { peer, machine, free, capacity, claims, driving, limits, labels, paused } = entry;
  return [
    peer,
    machine.hostname,
    `${machine.os}/${machine.arch}`,
    `${free.cpus}/${capacity.cpus}`,
    `${bytesText(free.memoryBytes)}/${bytesText(capacity.memoryBytes)}`,
    `${bytesText(free.diskBytes)}/${bytesText(capacity.diskBytes)}`,
    capacity.gpus === 0 ? '-' : `${free.gpus}/${capacity.gpus}`,
    String(claims.length),
    String(driving),
    limits,
    labels.join(',') || '-',
    paused === undefined ? 'claims tasks' : `paused: ${paused}`,
  ];
}
