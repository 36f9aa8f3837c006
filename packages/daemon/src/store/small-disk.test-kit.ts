import { spawn, spawnSync } from 'node:child_process';
import { mkdtemp } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll } from 'vitest';

const UNSHARE = ['--user', '--map-root-user', '--mount'];
const MOUNT = 'mount -t tmpfs -o size=$0 tmpfs /tmp';

/**
 * A disk of that many bytes, in memory, for the tests of one file; undefined where this machine lets nobody make one.
 * It is mounted in the name spaces of a process of ours, and reached through that process.
 */
export function smallDisk(bytes: number): { newFolder(): Promise<string> } | undefined {
  const tried = spawnSync('unshare', [...UNSHARE, 'sh', '-c', MOUNT, String(bytes)]);
  if (tried.status !== 0) return undefined;
  // It ends when its standard input does: with us, whatever becomes of us.
  const holder = spawn('unshare', [
    ...UNSHARE,
    'sh',
    '-c',
    `${MOUNT} && echo mounted && exec cat`,
    String(bytes),
  ]);
  const mounted = new Promise<void>((resolve) => holder.stdout.once('data', () => resolve()));
  afterAll(async () => {
    const ended = new Promise<void>((resolve) => holder.once('exit', () => resolve()));
    holder.stdin.end();
    await ended;
  });
  return {
    newFolder: async () => {
      await mounted;
      return await mkdtemp(join('/proc', String(holder.pid), 'root/tmp/store-'));
    },
  };
}
