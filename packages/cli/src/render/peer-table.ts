import type { LimitEnforcer, LimitsEnforced, PeerEntry } from '@podmesh/core';
import { alignColumns } from './align-columns.ts';
import { bytesText } from './amounts.ts';

/** Jobs named in one row; it is long already. */
const RATIONS_SHOWN_MAX = 3;

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
  'RUNTIMES',
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
  const { peer, machine, free, capacity, claims, driving, limits } = entry;
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
    limitsText(limits),
    entry.runtimes.join(',') || '-',
    entry.labels.join(',') || '-',
    stateText(entry),
  ];
}

/** Whether it claims, and if not, or not everything, why. */
function stateText({ paused, lowered, rations = [] }: PeerEntry): string {
  const less = lowered === undefined ? '' : `, but offers less: ${oneLine(lowered.reason)}`;
  const state = paused === undefined ? `claims tasks${less}` : `paused: ${oneLine(paused)}`;
  if (rations.length === 0) return state;
  // The newest stands last, and tells the most about the machine as it is now.
  const shown = rations.slice(-RATIONS_SHOWN_MAX).reverse();
  const named = shown.map(({ run, job, reason }) => `${run}/${job} (${oneLine(reason)})`);
  const more = rations.length - shown.length;
  const others = more > 0 ? ` and ${more} more (podmesh peers --json names them)` : '';
  return `${state}; leaves to others: ${named.join(', ')}${others}`;
}

const oneLine = (text: string): string => text.replace(/\s+/g, ' ');

/** What holds tasks to their limits: as memory is, and then what is not so, such as `watched, cpus none`. */
function limitsText({ memory, ...others }: LimitsEnforced): string {
  const listed = Object.entries(others) as readonly [string, LimitEnforcer][];
  const different = listed.filter(([, enforcer]) => enforcer !== memory);
  return [memory, ...different.map(([limit, enforcer]) => `${limit} ${enforcer}`)].join(', ');
}
