import {
  canonicalArch,
  type LimitEnforcer,
  type LimitsEnforced,
  type PeerEntry,
  type SleepingPeer,
} from '@podmesh/core';
import { alignColumns } from './align-columns.ts';
import { bytesText } from './amounts.ts';
import { sanitise } from './sanitise.ts';

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
export function peerTable(
  peers: readonly PeerEntry[],
  asleep: readonly SleepingPeer[] = [],
): readonly string[] {
  const rows = [...peers.map(row), ...asleep.map(sleeperRow)];
  if (rows.length === 0) return ['no peer is there; start one with: podmesh up'];
  return alignColumns([HEADER, ...rows.sort(([a = ''], [b = '']) => (a < b ? -1 : 1))]);
}

function sleeperRow({ peer, hostname, offering, ...told }: SleepingPeer): readonly string[] {
  const { capacity, arch, runtimes, labels } = offering;
  const { cpus, memoryBytes, diskBytes, gpus } = capacity;
  const [memory, disk] = [bytesText(memoryBytes), bytesText(diskBytes)];
  const machine = [peer, sanitise(hostname), `linux/${canonicalArch(arch)}`];
  const offers = [`0/${cpus}`, `0/${memory}`, `0/${disk}`, gpus === 0 ? '-' : `0/${gpus}`];
  const words = [runtimes.join(',') || '-', labels.join(',') || '-'];
  return [...machine, ...offers, '-', '-', '-', ...words, sleepText(peer, told)];
}

function sleepText(
  peer: SleepingPeer['peer'],
  { since, forbids, calls, links }: Pick<SleepingPeer, 'since' | 'forbids' | 'calls' | 'links'>,
): string {
  const called = calls === undefined ? '' : ` (called: ${calls.count}, last by ${calls.by})`;
  const how =
    forbids !== undefined
      ? `nobody may wake it: ${sanitise(oneLine(forbids))}`
      : links.length === 0
        ? 'it has no network card that wakes it'
        : `wake it: podmesh wake ${peer}`;
  return `asleep since ${sanitise(since)}${called}; ${how}`;
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
