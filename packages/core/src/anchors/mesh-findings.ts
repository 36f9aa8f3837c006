import type { PeerEntry } from '../placement/peer-entry.ts';
import type { PeerId } from '../words/ids.ts';
import { survivalOf } from './survival.ts';

/** What is said of one side of the mesh; `required`: it works badly, or not at all, while it is not in order. */
export interface MeshFinding {
  readonly check: string;
  readonly ok: boolean;
  readonly required: boolean;
  readonly found: string;
  readonly repair?: string;
}

/** A place where a server should be, and what it said when it was greeted. */
export interface GreetedServer {
  /** The peer that carries it, or its address where nobody knows. */
  readonly name: string;
  /** Absent: it does not answer. */
  readonly version?: string;
}

/** Peers whose clocks differ by more are told: nothing is decided by clocks, and people read their times. */
export const CLOCK_OFFSET_MS_MAX = 1_000;
/** A machine with less than this claims nothing; an anchor stops to store. */
export const DISK_FULL_BYTES = 2 ** 30;

/** How the mesh is, in words: what it survives, and what is going to hurt. `isOwn`: as of `survivalOf`. */
export function meshFindings(
  servers: readonly GreetedServer[],
  peers: readonly PeerEntry[],
  isOwn = true,
): readonly MeshFinding[] {
  const silent = servers.filter(({ version }) => version === undefined).map(({ name }) => name);
  const survival = survivalOf(servers.length, silent, isOwn);
  const anchors = { check: 'anchors', required: true, ...survival };
  return [anchors, ...serverVersions(servers), clocks(peers), disks(peers)];
}

function serverVersions(servers: readonly GreetedServer[]): readonly MeshFinding[] {
  const known = servers.flatMap(({ name, version }) =>
    version === undefined ? [] : [{ name, version }],
  );
  return known.length < 2 ? [] : [alike('nats-server versions', known)];
}

/** The same minor version everywhere: 2.15.1 and 2.15.3 are alike. */
function alike(
  check: string,
  known: readonly { readonly name: string; readonly version: string }[],
): MeshFinding {
  const byMinor = new Map<string, string[]>();
  for (const { name, version } of known) {
    const minor = version.split('.').slice(0, 2).join('.');
    byMinor.set(minor, [...(byMinor.get(minor) ?? []), `${name} (${version})`]);
  }
  if (byMinor.size <= 1)
    return { check, ok: true, required: false, found: `all ${known[0]?.version}` };
  const found = [...byMinor.values()].map((names) => listed(names)).join(' unlike ');
  const repair = 'Bring all to the newer version, one machine after the other.';
  return { check, ok: false, required: false, found, repair };
}

function clocks(peers: readonly PeerEntry[]): MeshFinding {
  const check = 'clocks';
  const offsets = peers.flatMap(({ peer, standing, heardAtMs }) =>
    standing === undefined || heardAtMs === undefined
      ? []
      : [{ peer, ms: standing.clockMs - heardAtMs }],
  );
  const middle = median(offsets.map(({ ms }) => ms));
  const off = offsets
    .map(({ peer, ms }) => ({ peer, ms: ms - middle }))
    .filter(({ ms }) => Math.abs(ms) > CLOCK_OFFSET_MS_MAX);
  if (off.length === 0)
    return { check, ok: true, required: false, found: `within a second of each other` };
  const told = off.map(({ peer, ms }) => `${peer} is ${seconds(ms)}`);
  const repair = 'Let them be set by the network: timedatectl set-ntp true';
  return { check, ok: false, required: false, found: listed(told), repair };
}

function disks(peers: readonly PeerEntry[]): MeshFinding {
  const check = 'disks';
  const full = peers.flatMap(({ peer, standing }) =>
    standing !== undefined && standing.freeDiskBytes < DISK_FULL_BYTES
      ? [`${peer} has ${Math.floor(standing.freeDiskBytes / 2 ** 20)} MiB left`]
      : [],
  );
  if (full.length === 0) return { check, ok: true, required: false, found: 'room on all of them' };
  const repair = 'Make room there; an anchor whose disk is full stores nothing for anybody.';
  return { check, ok: false, required: false, found: listed(full), repair };
}

const NAMES_SHOWN_MAX = 5;

function listed(names: readonly string[]): string {
  const more = names.length - NAMES_SHOWN_MAX;
  const shown = names.slice(0, NAMES_SHOWN_MAX).join(', ');
  return more > 0 ? `${shown} and ${more} more` : shown;
}

function median(numbers: readonly number[]): number {
  const sorted = [...numbers].sort((a, b) => a - b);
  return sorted[Math.floor((sorted.length - 1) / 2)] ?? 0;
}

const seconds = (ms: number): string =>
  `${(Math.abs(ms) / 1_000).toFixed(1)} s ${ms > 0 ? 'fast' : 'slow'}`;

/** What the proposal of anchors looks at of a peer. */
export function candidateOf(entry: PeerEntry, anchors: readonly PeerId[]) {
  const { peer, hardware, machine, keeps, standing } = entry;
  const { uptimeSeconds, serverVersion, freeDiskBytes = 0 } = standing ?? {};
  return {
    peer,
    host: keeps?.host ?? machine.hostname,
    battery: hardware.battery,
    freeDiskBytes,
    isAnchor: anchors.includes(peer),
    ...(uptimeSeconds === undefined ? {} : { uptimeSeconds }),
    ...(serverVersion === undefined ? {} : { serverVersion }),
  };
}
