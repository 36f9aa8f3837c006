import { readdirSync, rmdirSync } from 'node:fs';
import { mkdir, readdir, readFile, rmdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { ClaimId, PeerId } from '@podmesh/core';

/** Where cgroup v2 is mounted. */
export const CGROUP_ROOT = '/sys/fs/cgroup';

/**
 * A cgroup that stays when the container in it is gone. cgroup v2 sums over descendants, dead ones
 * included, so after the end it tells exact CPU time, peak memory and kills for memory, without
 * sampling and without a race against Podman's clean-up.
 */
export interface CgroupUsage {
  readonly cpuMs?: number;
  readonly maxRssBytes?: number;
  readonly oomKilled: boolean;
}

/** The cgroup around one attempt, and what Podman makes in it. */
export interface AttemptCgroup {
  /** What Podman is told: its `CgroupParent`. */
  readonly parent: string;
  /** Below {@link CGROUP_ROOT}. */
  readonly path: string;
  /** The child with the container, while it is there. */
  containerIn(id: string): string;
  /** The child with Podman's own conmon and clean-up, while it is there. */
  conmonIn(id: string): string;
}

/** Paths of cgroups in use. Asked after they were listed: one may come into use in between. */
export type KeptCgroups = Pick<ReadonlySet<string>, 'has'>;

/** Who makes a cgroup around each attempt differs; both leave it to us to remove it. */
export interface AttemptCgroups {
  of(peer: PeerId, claim: ClaimId): AttemptCgroup;
  /** Of a container that was found by its label; undefined for a `CgroupParent` that is not of this peer. */
  adopt(parent: string | undefined, peer: PeerId): AttemptCgroup | undefined;
  /** After the container's removal. Never fails: what is left is stale one day. */
  remove(cgroup: AttemptCgroup): Promise<void>;
  /** Those of containers that were removed while no daemon looked. */
  removeStale(peer: PeerId, kept: KeptCgroups): Promise<void>;
  close(): void;
}

/** The lanes look after their own cgroups only: a stale one of the other may be about to be used. */
export type CgroupLane = 'podmesh' | 'podmesh-crun';

/** Podman's `CgroupParent` of one attempt, below a base found by {@link findCgroupBase}. */
export function attemptCgroup(
  base: string,
  peer: PeerId,
  claim: ClaimId,
  lane: CgroupLane = 'podmesh',
): string {
  return join(base, `${prefixOf(peer, lane)}${claim}`);
}

/** Where Podman makes cgroups by itself: any path that this process may write is a parent. */
export class OwnCgroups implements AttemptCgroups {
  readonly #base: string;

  /** Takes a base found by {@link findCgroupBase}. */
  constructor(base: string) {
    this.#base = base;
  }

  of(peer: PeerId, claim: ClaimId): AttemptCgroup {
    return ownCgroupAt(attemptCgroup(this.#base, peer, claim));
  }

  adopt(parent: string | undefined, peer: PeerId): AttemptCgroup | undefined {
    const isOurs = parent?.split('/').at(-1)?.startsWith(prefixOf(peer)) ?? false;
    return isOurs && parent !== undefined ? ownCgroupAt(parent) : undefined;
  }

  async remove({ path }: AttemptCgroup): Promise<void> {
    removeCgroup(path);
  }

  async removeStale(peer: PeerId, kept: KeptCgroups): Promise<void> {
    await removeStaleCgroups(this.#base, peer, kept);
  }

  close(): void {}
}

function ownCgroupAt(path: string): AttemptCgroup {
  return { parent: path, path, containerIn: (id) => `libpod-${id}`, conmonIn: () => 'conmon' };
}

/**
 * Where this process may make cgroups, as a path below the root of cgroup v2: beside its own cgroup, or
 * in it. Undefined where that is not allowed; then there are no figures.
 */
export async function findCgroupBase(): Promise<string | undefined> {
  const own = await ownCgroup();
  if (own === undefined) return undefined;
  for (const base of new Set([dirname(own), own])) {
    const probe = join(CGROUP_ROOT, base, `podmesh-probe-${process.pid}`);
    try {
      await mkdir(probe);
      await rmdir(probe);
      return base;
    } catch {
      // Not ours; the next one may be.
    }
  }
  return undefined;
}

/**
 * What the container used so far; undefined when the cgroup is not there. Podman puts its own `conmon` and
 * clean-up beside the container: their CPU time is taken off, unless their cgroup is gone already, as it may
 * be under systemd, above all after a daemon's death. Peak memory comes from the container's own cgroup while
 * that is still there; else it is an upper bound that includes them (about 40 MB).
 */
export async function readUsage(
  cgroup: AttemptCgroup,
  container: string,
): Promise<CgroupUsage | undefined> {
  const read = (...path: string[]) =>
    readFile(join(CGROUP_ROOT, cgroup.path, ...path), 'utf8').catch(() => undefined);
  const [cpu, ownCpu, peak, upperPeak, events] = await Promise.all([
    read('cpu.stat'),
    read(cgroup.conmonIn(container), 'cpu.stat'),
    read(cgroup.containerIn(container), 'memory.peak'),
    read('memory.peak'),
    read('memory.events'),
  ]);
  const cpuUsec = statField(cpu, 'usage_usec');
  if (cpuUsec === undefined) return undefined;
  const conmonUsec = statField(ownCpu, 'usage_usec') ?? 0;
  const peakBytes = Number((peak ?? upperPeak)?.trim() || Number.NaN);
  return {
    cpuMs: Math.round(Math.max(0, cpuUsec - conmonUsec) / 1_000),
    ...(Number.isSafeInteger(peakBytes) ? { maxRssBytes: peakBytes } : {}),
    oomKilled: (statField(events, 'oom_kill') ?? 0) > 0,
  };
}

/**
 * Removes it with the empty cgroups in it; harmless when it is gone, or still in use. Synchronous: it is the
 * kernel's memory, and the way through Node's thread pool takes longer than all of this.
 */
export function removeCgroup(cgroup: string): void {
  const path = join(CGROUP_ROOT, cgroup);
  if (removeEmpty(path)) return;
  try {
    for (const entry of readdirSync(path, { withFileTypes: true })) {
      if (entry.isDirectory()) removeEmpty(join(path, entry.name));
    }
  } catch {
    // Gone, or never there.
    return;
  }
  removeEmpty(path);
}

/** False when it is gone, or something is in it. */
function removeEmpty(path: string): boolean {
  try {
    rmdirSync(path);
    return true;
  } catch {
    return false;
  }
}

/** Removes the peer's cgroups that hold no process and are not `kept`: of containers removed while no daemon looked. */
export async function removeStaleCgroups(
  base: string,
  peer: PeerId,
  kept: KeptCgroups,
  lane: CgroupLane = 'podmesh',
): Promise<void> {
  const names = await readdir(join(CGROUP_ROOT, base)).catch(() => []);
  for (const name of names) {
    const cgroup = join(base, name);
    if (name.startsWith(prefixOf(peer, lane)) && !kept.has(cgroup)) removeCgroup(cgroup);
  }
}

/** With a letter that no peer's id has, so that no peer's prefix begins another's. */
function prefixOf(peer: PeerId, lane: CgroupLane = 'podmesh'): string {
  return lane === 'podmesh' ? `podmesh-${peer}-` : `podmesh-crun.${peer}.`;
}

async function ownCgroup(): Promise<string | undefined> {
  try {
    // Only a pure v2 tree has this file at its root.
    await readFile(join(CGROUP_ROOT, 'cgroup.controllers'));
    const lines = (await readFile('/proc/self/cgroup', 'utf8')).split('\n');
    return lines.find((line) => line.startsWith('0::/'))?.slice('0::'.length);
  } catch {
    return undefined;
  }
}

/** One number of a file such as `cpu.stat`: lines of a name and an amount. */
export function statField(text: string | undefined, name: string): number | undefined {
  const line = text?.split('\n').find((candidate) => candidate.startsWith(`${name} `));
  return line === undefined ? undefined : Number(line.slice(name.length + 1));
}
