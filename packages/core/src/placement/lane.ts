import type { Requirements, RuntimeName } from '../graph/graph.ts';
import { canonicalJson, type Sha256 } from '../words/digest.ts';
import { type LaneId, laneId } from '../words/ids.ts';
import { unreachable } from '../words/unreachable.ts';
import type { Capacity } from './peer-entry.ts';

const MIB = 1024 ** 2;
const GIB = 1024 ** 3;

/** What a task asks for, before it is rounded; what is left out gets the default. */
export interface Needs {
  readonly cpus?: number | undefined;
  readonly memoryBytes?: number | undefined;
  readonly diskBytes?: number | undefined;
  readonly gpus?: number | undefined;
  readonly arch?: string | undefined;
  /** As `key=value`. */
  readonly labels?: readonly string[] | undefined;
  readonly runtime?: RuntimeName | undefined;
}

/**
 * Rounds up and makes canonical, so that tasks with nearly the same needs share one lane instead of
 * opening a queue each. Applying it to its own result changes nothing.
 */
export function toRequirements(needs: Needs): Requirements {
  const {
    cpus = 1,
    memoryBytes = 256 * MIB,
    diskBytes = 0,
    gpus = 0,
    arch,
    labels = [],
    runtime,
  } = needs;
  return {
    cpus: Math.max(0.25, Math.ceil(cpus * 4) / 4),
    memoryBytes: Math.max(64 * MIB, roundUp(memoryBytes, memoryStep(memoryBytes))),
    diskBytes: roundUp(diskBytes, 256 * MIB),
    gpus: Math.ceil(gpus),
    ...(arch === undefined ? {} : { arch: canonicalArch(arch) }),
    labels: [...new Set(labels)].sort(),
    ...(runtime === undefined ? {} : { runtime }),
  };
}

/** The most that a task can ask for, rounded up, of a peer that offers so much. */
export function roundMemoryDown(offeredBytes: number): number {
  return Math.floor(offeredBytes / memoryStep(offeredBytes)) * memoryStep(offeredBytes);
}

const memoryStep = (bytes: number): number => (bytes < GIB ? 64 * MIB : 256 * MIB);

/** The queue of all tasks with these requirements. */
export function laneOf(requirements: Requirements, sha256: Sha256): LaneId {
  return laneId(sha256(canonicalJson(requirements)).slice(0, 16));
}

const ARCH_ALIASES: Readonly<Record<string, string>> = {
  x86_64: 'amd64',
  x64: 'amd64',
  aarch64: 'arm64',
  armv7l: 'arm',
  i386: '386',
  i686: '386',
};

/** The name that OCI images use for an architecture that the kernel or Node may call otherwise. */
export function canonicalArch(arch: string): string {
  const name = arch.toLowerCase();
  return ARCH_ALIASES[name] ?? name;
}

/** What placement looks at of a peer. */
export interface PeerOffering {
  /** All it offers, busy or not. */
  readonly capacity: Capacity;
  readonly arch: string;
  readonly labels: readonly string[];
  readonly runtimes: readonly RuntimeName[];
}

/** One way in which a peer falls short of requirements, even when it is idle. */
export type Shortfall =
  | { readonly kind: Resource; readonly needed: number; readonly offered: number }
  | { readonly kind: 'arch'; readonly needed: string; readonly offered: string }
  | { readonly kind: 'runtime'; readonly needed: RuntimeName; readonly offered: string }
  /** `offered`: the peer's label with the same key, when it has one. */
  | { readonly kind: 'label'; readonly needed: string; readonly offered?: string };

/** What is counted, and must be free for a task to start. */
type Resource = keyof Capacity;
const RESOURCES: readonly Resource[] = ['cpus', 'memoryBytes', 'diskBytes', 'gpus'];

/** The most memory that a task of these requirements could get of one of the peers; 0: of none. */
export function largestMemoryBytes(
  requirements: Requirements,
  peers: readonly PeerOffering[],
): number {
  const suitable = peers.filter((peer) =>
    satisfies(requirements, peer).every(({ kind }) => kind === 'memoryBytes'),
  );
  return Math.max(0, ...suitable.map(({ capacity }) => capacity.memoryBytes));
}

/** What the peer lacks for a task of these requirements; empty when it could run one. */
export function satisfies(requirements: Requirements, peer: PeerOffering): readonly Shortfall[] {
  const short = RESOURCES.filter((kind) => requirements[kind] > peer.capacity[kind]);
  const resources = short.map((kind) => ({
    kind,
    needed: requirements[kind],
    offered: peer.capacity[kind],
  }));
  const { arch } = requirements;
  const offered = canonicalArch(peer.arch);
  const foreign =
    arch === undefined || arch === offered
      ? []
      : [{ kind: 'arch', needed: arch, offered } as const];
  const { runtime } = requirements;
  const unable =
    runtime === undefined || peer.runtimes.includes(runtime)
      ? []
      : [{ kind: 'runtime', needed: runtime, offered: peer.runtimes.join(', ') } as const];
  const lacking = requirements.labels.filter((label) => !peer.labels.includes(label));
  return [
    ...resources,
    ...foreign,
    ...unable,
    ...lacking.map((label) => labelShortfall(label, peer.labels)),
  ];
}

function labelShortfall(needed: string, labels: readonly string[]): Shortfall {
  const key = needed.slice(0, needed.indexOf('=') + 1);
  const offered = labels.find((label) => label.startsWith(key));
  return { kind: 'label', needed, ...(offered === undefined ? {} : { offered }) };
}

/** Whether a task of these requirements can start in what is free now. */
export function fits(requirements: Requirements, free: Capacity): boolean {
  return RESOURCES.every((kind) => requirements[kind] <= free[kind]);
}

/** A shortfall as people read it, such as `needs 64 GiB memory, peer offers 8 GiB`. */
export function shortfallText(shortfall: Shortfall): string {
  switch (shortfall.kind) {
    case 'cpus':
      return `needs ${cores(shortfall.needed)}, peer offers ${shortfall.offered}`;
    case 'memoryBytes':
      return `needs ${bytesText(shortfall.needed)} memory, peer offers ${bytesText(shortfall.offered)}`;
    case 'diskBytes':
      return `needs ${bytesText(shortfall.needed)} disk, peer offers ${bytesText(shortfall.offered)}`;
    case 'gpus':
      return `needs ${shortfall.needed} GPU${shortfall.needed === 1 ? '' : 's'}, peer offers ${shortfall.offered}`;
    case 'arch':
      return `needs architecture ${shortfall.needed}, peer is ${shortfall.offered}`;
    case 'runtime':
      return `needs the runtime ${shortfall.needed}, peer has ${shortfall.offered || 'none'}`;
    case 'label':
      return `needs label ${shortfall.needed}, peer ${shortfall.offered === undefined ? 'has none such' : `has ${shortfall.offered}`}`;
    default:
      return unreachable(shortfall);
  }
}

const cores = (count: number): string => `${count} ${count === 1 ? 'core' : 'cores'}`;

/** Bytes in the unit that keeps the number short, cut at hundredths: what is offered must never look enough when it is not. */
function bytesText(bytes: number): string {
  if (bytes >= GIB) return `${Math.floor((bytes / GIB) * 100) / 100} GiB`;
  return `${Math.floor((bytes / MIB) * 100) / 100} MiB`;
}

const roundUp = (amount: number, step: number): number => Math.ceil(amount / step) * step;
