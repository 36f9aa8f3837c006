import { readFile } from 'node:fs/promises';
import { uptime } from 'node:os';

/** One start of the machine. */
export interface Boot {
  /** What the kernel calls it; constant where it does not tell. */
  readonly id: string;
  /** Milliseconds since then, times of sleep included. */
  readonly uptimeMs: () => number;
}

export async function readBoot(): Promise<Boot> {
  const text = await readFile('/proc/sys/kernel/random/boot_id', 'utf8').catch(() => 'unknown');
  return { id: text.trim(), uptimeMs: () => uptime() * 1_000 };
}
