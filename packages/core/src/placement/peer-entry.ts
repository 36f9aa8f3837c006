import type { Requirements, RuntimeName } from '../graph/graph.ts';
import type { Machine } from '../run/run-event.ts';
import { canonicalJson } from '../words/digest.ts';
import type { ClaimId, JobId, PeerId, RunId, SessionId } from '../words/ids.ts';
import {
  RATION_REASON_CHARACTERS_MAX,
  RATIONS_TOLD_MAX,
  WANTED_TOLD_MAX,
} from '../words/limits.ts';
import type { PeerOffering } from './lane.ts';

/** What a peer tells the mesh about itself every few seconds. */
export interface PeerEntry {
  readonly peer: PeerId;
  readonly session: SessionId;
  readonly version: string;
  readonly machine: Machine;
  readonly hardware: Hardware;
  readonly labels: readonly string[];
  /** What it offers altogether, and what of it is free now. */
  readonly capacity: Capacity;
  readonly free: Capacity;
  /** Attempts it has in hand: an open attempt that is not among them was given up, whoever lives. */
  readonly claims: readonly ClaimId[];
  /** CPU milliseconds that attempts among them have used so far, of those that have a budget; absent: of none. */
  readonly spending?: Readonly<Record<ClaimId, number>>;
  /** Runs it drives now. */
  readonly driving: number;
  /** Image id → references, of images it holds; bounded. */
  readonly images: Readonly<Record<string, readonly string[]>>;
  readonly limits: LimitsEnforced;
  readonly runtimes: readonly RuntimeName[];
  /** Why it claims nothing at present; absent while it claims. */
  readonly paused?: string;
  /** Its owner wants it to come to its end; absent while nobody does. */
  readonly drain?: DrainTold;
  /** It offers less than it would, and why; absent while it does not. */
  readonly lowered?: Lowered;
  /**
   * Jobs that it leaves to others although it claims, because they fail here by themselves; bounded.
   * Absent when there are none, and from peers of a version that did not tell.
   */
  readonly rations?: readonly Ration[];
  /** Its public key (X25519, base64url), for which secrets are sealed; absent of a peer that takes none. */
  readonly sealingKey?: string;
  /** How its artifacts can be fetched from it directly; absent where only the server reaches it. */
  readonly bulk?: BulkAddress;
  /** What it would keep for others; absent: nothing, and from peers of a version that could not. */
  readonly keeps?: KeepOffering;
  /** How steady its machine is; absent of peers of a version that did not tell. */
  readonly standing?: Standing;
  /** What tasks need that have waited for long, of runs that it drives; bounded, absent where there are none. */
  readonly wanted?: readonly Requirements[];
  /** Networks in which it can wake others, such as `192.168.1.0/24`; absent where there are none. */
  readonly networks?: readonly string[];
  /** When the server got this, milliseconds since 1970 by its own clock; set by whoever reads. */
  readonly heardAtMs?: number;
}

/** What makes a machine fit to carry the mesh. */
export interface Standing {
  /** Of the machine. */
  readonly uptimeSeconds: number;
  /** Where the daemon keeps its files. */
  readonly freeDiskBytes: number;
  /** Of the nats-server that it could start; absent where there is none. */
  readonly serverVersion?: string;
  /** What its own clock said, milliseconds since 1970. */
  readonly clockMs: number;
}

/** How far a peer is that takes nothing more. What runs and what it drives stands in its entry. */
export interface DrainTold {
  /** Who asked for it, or what did. */
  readonly by: string;
  /** `draining`: something is in hand still. `drained`: it may go. */
  readonly state: 'draining' | 'drained';
  /** Tasks of unfinished runs whose outputs, logs or leftovers on its disk no other peer is known to have. */
  readonly unkept: number;
}

export interface Lowered {
  readonly reason: string;
  /** What it would offer otherwise. */
  readonly full: Capacity;
}

/** A peer as one that keeps outputs of others. */
export interface KeepOffering {
  /** Room that it would give, roughly; it looks again when it is asked. */
  readonly freeBytes: number;
  /** The same for all peers on one machine, and for no others. */
  readonly host: string;
  readonly roles?: readonly ('store' | 'anchor')[];
}

/** Where a peer serves its artifacts. */
export interface BulkAddress {
  /** Base addresses, `http://HOST:PORT`; any of them will do. */
  readonly urls: readonly string[];
  /** Random for each session. Who may read the directory of peers may fetch; nobody else. */
  readonly key: string;
}

/** A job of which a peer tries one attempt now and then only. */
export interface Ration {
  readonly run: RunId;
  readonly job: JobId;
  readonly reason: string;
}

/**
 * What a peer tells of its rations, given all, the newest last: the newest few, none of them long, since
 * every heartbeat carries them; the member is absent when there are none.
 */
export function toldRations(rations: readonly Ration[]): Pick<PeerEntry, 'rations'> {
  if (rations.length === 0) return {};
  const told = rations.slice(-RATIONS_TOLD_MAX).map(({ run, job, reason }) => {
    const characters = [...reason];
    if (characters.length <= RATION_REASON_CHARACTERS_MAX) return { run, job, reason };
    const kept = characters.slice(0, RATION_REASON_CHARACTERS_MAX).join('');
    return { run, job, reason: `${kept}…` };
  });
  return { rations: told };
}

/** Each kind of task once, the first few; the member is absent when there are none. */
export function toldWants(wants: readonly Requirements[]): Pick<PeerEntry, 'wanted'> {
  if (wants.length === 0) return {};
  const kinds = new Map(wants.map((needs) => [canonicalJson(needs), needs]));
  return { wanted: [...kinds.values()].slice(0, WANTED_TOLD_MAX) };
}

/** What holds a task to a limit: the kernel; the daemon, which measures and ends what exceeds it; nobody. */
export type LimitEnforcer = 'kernel' | 'watched' | 'none';

export interface LimitsEnforced {
  readonly memory: LimitEnforcer;
  readonly cpus: LimitEnforcer;
  readonly pids: LimitEnforcer;
  readonly disk: LimitEnforcer;
}

/** What placement looks at of a peer. */
export const offeringOf = ({ capacity, machine, labels, runtimes }: PeerEntry): PeerOffering => ({
  capacity,
  arch: machine.arch,
  labels,
  runtimes,
});

export interface Capacity {
  readonly cpus: number;
  readonly memoryBytes: number;
  readonly diskBytes: number;
  readonly gpus: number;
}

export interface Hardware {
  readonly cpuFlags: readonly string[];
  readonly gpus: readonly {
    readonly vendor: string;
    readonly model: string;
    readonly memoryBytes: number;
  }[];
  readonly battery: boolean;
}
