import { existsSync } from 'node:fs';
import { type FileHandle, mkdtemp, open, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { freePort, NatsServerFiles } from './nats-server-files.ts';

/** A server that loses its port or its name in a power cut is another server to everybody. */
let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'podmesh-server-files-'));
});
afterEach(async () => {
  vi.restoreAllMocks();
  await rm(folder, { recursive: true, force: true });
});

it.each<[string, (files: NatsServerFiles) => Promise<unknown>]>([
  ['port', (files) => files.rememberPort(4222)],
  ['token', (files) => files.guard({})],
])(
  'the %s is on the disk before it is in its place, and its name is after',
  async (name, write) => {
    const files = new NatsServerFiles(folder);
    const probe = await open(folder, 'r');
    const prototype = Object.getPrototypeOf(probe) as FileHandle;
    await probe.close();
    const { sync } = prototype;
    const syncs: boolean[] = [];
    vi.spyOn(prototype, 'sync').mockImplementation(function (this: FileHandle) {
      syncs.push(existsSync(join(folder, name)));
      return sync.call(this);
    });
    await write(files);
    expect(syncs).toEqual([false, true]);
  },
);

it('a free port is none that a connection may be given by the system', async () => {
  const range = await readFile('/proc/sys/net/ipv4/ip_local_port_range', 'utf8');
  const [from = 0, to = 0] = range.trim().split(/\s+/).map(Number);
  for (let times = 0; times < 50; times += 1) {
    const port = await freePort();
    expect(port < from || port > to, `${port} of ${range}`).toBe(true);
  }
});
