import { readFile } from 'node:fs/promises';
import { setTimeout as pause } from 'node:timers/promises';

const LOOK_MS = 50;

/** The command line of a living process; undefined when there is none of that number, or only its zombie. */
export async function commandOf(pid: number): Promise<string | undefined> {
  const text = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
  return text === '' ? undefined : text.replaceAll('\0', ' ').trim();
}

/** Sends a signal; false when the process is gone. Throws when it is not ours. */
export function sendSignal(pid: number, signal: NodeJS.Signals): boolean {
  try {
    process.kill(pid, signal);
    return true;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ESRCH') return false;
    throw error;
  }
}

/** Whether the process has gone within the time. Processes of others cannot be waited for but by looking. */
export async function hasGone(pid: number, withinMs: number): Promise<boolean> {
  const endMs = performance.now() + withinMs;
  while ((await commandOf(pid)) !== undefined) {
    if (performance.now() >= endMs) return false;
    await pause(LOOK_MS);
  }
  return true;
}
