import { readFile } from 'node:fs/promises';

/** What the kernel calls this start of the machine; constant where it does not tell. */
export async function bootId(): Promise<string> {
  const text = await readFile('/proc/sys/kernel/random/boot_id', 'utf8').catch(() => 'unknown');
  return text.trim();
}
