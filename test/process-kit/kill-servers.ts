import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** SIGKILL for the nats-servers that the daemon of a home started: for the one that is alone, and for those of clusters. */
export async function killServersOf(home: string): Promise<void> {
  const folder = join(home, 'nats');
  const names = await readdir(folder).catch(() => []);
  for (const place of ['', ...names.filter((name) => /^g\d+$/.test(name))]) {
    const pid = Number(await readFile(join(folder, place, 'pid'), 'utf8').catch(() => '0'));
    const words = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
    if (pid > 1 && words.includes(folder)) process.kill(pid, 'SIGKILL');
  }
}
