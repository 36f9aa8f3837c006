import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** A container's first process, with the start time that tells it from a later one with its number. */
export interface ContainerProcess {
  readonly pid: number;
  readonly startTicks: number;
}

/** From crun's record; undefined before the container was made and after its end. */
export async function findProcess(
  state: string,
  id: string,
): Promise<ContainerProcess | undefined> {
  try {
    const status: unknown = JSON.parse(await readFile(join(state, id, 'status'), 'utf8'));
    if (typeof status !== 'object' || status === null) return undefined;
    const pid = 'pid' in status ? Number(status.pid) : Number.NaN;
    const startTicks =
      'process-start-time' in status ? Number(status['process-start-time']) : Number.NaN;
    const found = { pid, startTicks };
    return Number.isSafeInteger(pid) && pid > 1 && isAlive(found) ? found : undefined;
  } catch {
    return undefined;
  }
}

/** Whether it still runs. Its end ends all others of the container. */
export function isAlive({ pid, startTicks }: ContainerProcess): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The name in parentheses may hold anything, spaces and parentheses too.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] !== 'Z' && Number(fields[19]) === startTicks;
  } catch {
    return false;
  }
}

/** False when it does not run (any more). */
export function sendSignal(process_: ContainerProcess, signal: NodeJS.Signals): boolean {
  if (!isAlive(process_)) return false;
  try {
    process.kill(process_.pid, signal);
    return true;
  } catch {
    return false;
  }
}
