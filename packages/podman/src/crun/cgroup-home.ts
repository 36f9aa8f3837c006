import { readFileSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CGROUP_ROOT, type CgroupUsage, findCgroupBase, statField } from '../container-cgroup.ts';

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
 * Makes the cgroup of one attempt. The container is in a child of it, with its limits, that crun makes and
 * removes: what was used can still be read here after the end.
 */
export async function makeCgroup(home: CgroupHome, cgroup: string): Promise<void> {
  const path = join(CGROUP_ROOT, cgroup);
  await mkdir(path, { recursive: true });
  if (!home.limits) return;
  await writeFile(join(path, 'cgroup.subtree_control'), ENABLE_ALL);
}

/** What a container used, after its end. Synchronous: one or three files of the kernel's memory. */
export function readCgroup(home: CgroupHome, cgroup: string): CgroupUsage | undefined {
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
  if (!home.limits) return { cpuMs, oomKilled: false };
  const peak = Number.parseInt(read('memory.peak'), 10);
  return {
    cpuMs,
    ...(Number.isNaN(peak) ? {} : { maxRssBytes: peak }),
    oomKilled: (statField(read('memory.events'), 'oom_kill') ?? 0) > 0,
  };
}
