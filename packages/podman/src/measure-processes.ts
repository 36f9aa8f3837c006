import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ContainerSample } from '@podmesh/core';
import { CGROUP_ROOT, statField } from './container-cgroup.ts';
import { PROCESSES_MEASURED_MAX, PSS_WORTH_BYTES } from './podman-limits.ts';

const PAGE_BYTES = 4_096;
/** Of the counters in `/proc`, on every architecture that Linux still runs on. */
const TICK_MS = 10;

/** A process and all its descendants that live now, itself first; bounded. */
export async function processTree(root: number): Promise<readonly number[]> {
  const found = [root];
  for (let at = 0; at < found.length && found.length < PROCESSES_MEASURED_MAX; at++) {
    const pid = found[at];
    // Of the main thread only: a child of another thread is found when its parent has ended. Of
    // the programs that start children elsewhere, those with one process are counted fully.
    const children = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8').catch(() => '');
    for (const child of children.split(' ')) if (child !== '') found.push(Number(child));
  }
  return found;
}

/**
 * Memory and number of processes. By the cgroup where the kernel counts memory there; else shared
 * pages are counted once (PSS), which makes the kernel walk all pages, so only when it may matter.
 */
export async function measureProcesses(
  pids: readonly number[],
  cgroup?: string,
): Promise<ContainerSample> {
  const sizes = await Promise.all(pids.map(residentBytes));
  const alive = sizes.filter((bytes) => bytes !== undefined);
  if (alive.length === 0) return {};
  const exact = cgroup === undefined ? undefined : await cgroupCpuMs(cgroup);
  const cpuMs = exact ?? (await cpuMsOf(pids));
  const counted = cgroup === undefined ? undefined : await cgroupMemory(cgroup);
  if (counted !== undefined) return { memoryBytes: counted, processes: alive.length, cpuMs };
  const upperBound = alive.reduce((sum, bytes) => sum + bytes, 0);
  const memoryBytes = upperBound < PSS_WORTH_BYTES ? upperBound : await sharedOnce(pids, sizes);
  return { memoryBytes, processes: alive.length, cpuMs };
}

async function residentBytes(pid: number): Promise<number | undefined> {
  const statm = await readFile(`/proc/${pid}/statm`, 'utf8').catch(() => undefined);
  return statm === undefined ? undefined : Number(statm.split(' ')[1]) * PAGE_BYTES;
}

async function sharedOnce(
  pids: readonly number[],
  sizes: readonly (number | undefined)[],
): Promise<number> {
  let sum = 0;
  for (const [i, pid] of pids.entries()) {
    const rollup = await readFile(`/proc/${pid}/smaps_rollup`, 'utf8').catch(() => '');
    const kib = /^Pss:\s+(\d+) kB$/m.exec(rollup)?.[1];
    sum += kib === undefined ? (sizes[i] ?? 0) : Number(kib) * 1_024;
  }
  return sum;
}

/** The kernel counts processor time in every cgroup of version 2, whatever is delegated. */
async function cgroupCpuMs(cgroup: string): Promise<number | undefined> {
  const text = await readFile(join(CGROUP_ROOT, cgroup, 'cpu.stat'), 'utf8').catch(() => undefined);
  const usec = statField(text, 'usage_usec');
  return usec === undefined ? undefined : Math.round(usec / 1_000);
}

/** Without a cgroup: of those that live, and of those that they waited for. What nobody waited for is not known any more. */
async function cpuMsOf(pids: readonly number[]): Promise<number> {
  const stats = await Promise.all(
    pids.map((pid) => readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined)),
  );
  return stats.reduce((sum, stat) => sum + ticksIn(stat) * TICK_MS, 0);
}

/** Fields 14 to 17 of proc(5)'s `stat`; the name, which may hold anything, ends at the last parenthesis. */
function ticksIn(stat = ''): number {
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return fields.slice(11, 15).reduce((sum, ticks) => sum + (Number(ticks) || 0), 0);
}

async function cgroupMemory(cgroup: string): Promise<number | undefined> {
  const path = join(CGROUP_ROOT, cgroup, 'memory.current');
  const text = await readFile(path, 'utf8').catch(() => undefined);
  return text === undefined ? undefined : Number(text);
}
