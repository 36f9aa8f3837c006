import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CGROUP_ROOT, type CgroupUsage, findCgroupBase, statField } from '../container-cgroup.ts';
import type { ChainSpawner } from './chain-spawner.ts';
import { CrunFailedError } from './crun-errors.ts';

const CONTROLLERS = ['cpu', 'memory', 'pids'];
const ENABLE_ALL = CONTROLLERS.map((name) => `+${name}`).join(' ');

/** Where the lane makes a cgroup for each container. */
export interface CgroupHome {
  /** Below the root of cgroup v2. */
  readonly base: string;
  /** Whether the kernel holds a cgroup in it to memory, processor time and number of processes. */
  readonly limits: boolean;
}

/** Undefined where this process may not make cgroups. */
export async function findCgroupHome(): Promise<CgroupHome | undefined> {
  const base = await findCgroupBase();
  if (base === undefined) return undefined;
  for (const name of CONTROLLERS) {
    // One by one: what is on already, or not to be had, is no reason against the others.
    await writeFile(join(CGROUP_ROOT, base, 'cgroup.subtree_control'), `+${name}`).catch(
      () => undefined,
    );
  }
  const on = await readFile(join(CGROUP_ROOT, base, 'cgroup.subtree_control'), 'utf8').catch(
    () => '',
  );
  return { base, limits: CONTROLLERS.every((name) => on.split(/\s/).includes(name)) };
}

/**
 * In the scope of the shell that starts chains at this moment, where systemd gave it one: a killed shell's
 * goes when the last container in it ends, and the next shell has another. Else `own`, of this process.
 */
export async function presentCgroupHome(
  spawner: Pick<ChainSpawner, 'cgroup'>,
  own: CgroupHome | undefined,
): Promise<CgroupHome | undefined> {
  const delegated = await spawner.cgroup();
  return delegated === undefined ? own : { base: delegated, limits: true };
}

/**
 * Makes the cgroup of one attempt, right below the home's base, and never the base itself: one that
 * vanished was systemd's, and would come back outside of what it has delegated. The container is in a
 * child of it, with its limits, that crun makes and removes: what was used can still be read here
 * after the end. Synchronous, as all of the kernel's memory is here.
 */
export function makeCgroup(home: CgroupHome, cgroup: string): void {
  const path = join(CGROUP_ROOT, cgroup);
  try {
    mkdirSync(path);
  } catch (error) {
    // An earlier try of the same attempt may have left it.
    if (!isCode(error, 'EEXIST')) throw cgroupError(home, error);
  }
  if (!home.limits) return;
  writeFileSync(join(path, 'cgroup.subtree_control'), ENABLE_ALL);
}

/**
 * What a container used, after its end. Synchronous: three files of the kernel's memory. Without
 * memory's controller, which has files only where there are limits, there is only the time.
 */
export function readCgroup(cgroup: string): CgroupUsage | undefined {
  const read = (name: string) => {
    try {
      return readFileSync(join(CGROUP_ROOT, cgroup, name), 'utf8');
    } catch {
      return '';
    }
  };
  const usec = statField(read('cpu.stat'), 'usage_usec');
  if (usec === undefined) return undefined;
  const cpuMs = Math.round(usec / 1_000);
  const events = join(CGROUP_ROOT, cgroup, 'memory.events');
  // Asked first: an exception for each task would cost more than the three files together.
  if (!existsSync(events)) return { cpuMs, oomKilled: false };
  const peak = Number.parseInt(read('memory.peak'), 10);
  return {
    cpuMs,
    ...(Number.isNaN(peak) ? {} : { maxRssBytes: peak }),
    oomKilled: (statField(read('memory.events'), 'oom_kill') ?? 0) > 0,
  };
}

function cgroupError({ base }: CgroupHome, error: unknown): unknown {
  if (!isCode(error, 'ENOENT')) return error;
  return new CrunFailedError('make a cgroup', `${base} is gone, in which it was to be`, error);
}

function isCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}
