import { readFileSync } from 'node:fs';

/** Ticks of the kernel's clock in a second, on every Linux that Node runs on. */
const TICKS_PER_S = 100;

/** Seconds of CPU, user's and system's, that a process with all its threads, and its ended children, has used. */
export function cpuOf(pid: number): number {
  return statOf(pid).reduce((sum, ticks) => sum + ticks, 0) / TICKS_PER_S;
}

/** The same of the children of this process that have ended. */
export function cpuOfEnded(): number {
  const [, , user = 0, system = 0] = statOf(process.pid);
  return (user + system) / TICKS_PER_S;
}

/** The most memory a process has had, in MiB; of a file that is mapped or cached nothing counts. */
export function peakMiB(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1] ?? Number.NaN) / 1_024;
}

/** utime, stime, cutime and cstime: proc(5). The name before them may hold anything. */
function statOf(pid: number): readonly number[] {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return fields.slice(11, 15).map(Number);
}
