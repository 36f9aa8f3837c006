import type { RuntimeName } from '../graph/graph.ts';
import type { Machine } from '../run/run-event.ts';
import type { ClaimId, PeerId, SessionId } from '../words/ids.ts';
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
  /** Runs it drives now. */
  readonly driving: number;
  /** Image id → references, of images it holds; bounded. */
  readonly images: Readonly<Record<string, readonly string[]>>;
  readonly limits: LimitsEnforced;
  readonly runtimes: readonly RuntimeName[];
  /** Why it claims nothing at present; absent while it claims. */
  readonly paused?: string;
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
