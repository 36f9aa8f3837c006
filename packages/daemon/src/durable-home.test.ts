import { existsSync } from 'node:fs';
import { type FileHandle, mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { peerId } from '@podmesh/core';
import pino from 'pino';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { Home } from './home.ts';
import { enterHome } from './home-version.ts';
import { listenAddress } from './membership/listening.ts';
import { DrainDesk } from './owner/drain-desk.ts';
import { loadSealingKey } from './secrets/sealing-key.ts';

/** A file that was renamed into place and not synced before is empty after a power cut: no daemon starts over those. */
let home: string;

beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'podmesh-durable-'));
});
afterEach(async () => {
  vi.restoreAllMocks();
  await rm(home, { recursive: true, force: true });
});

/** For each sync of a file or folder, whether that file was in its place already. */
async function watchSyncs(path: string): Promise<readonly boolean[]> {
  const probe = await open(home, 'r');
  const prototype = Object.getPrototypeOf(probe) as FileHandle;
  await probe.close();
  const seen: boolean[] = [];
  const { sync } = prototype;
  vi.spyOn(prototype, 'sync').mockImplementation(function (this: FileHandle) {
    seen.push(existsSync(path));
    return sync.call(this);
  });
  return seen;
}

const drains = (file: string): DrainDesk => {
  const desk = new DrainDesk({ file, logger: pino({ level: 'silent' }) });
  const waker = { wake: async () => ({ kind: 'done' }) as const };
  desk.open({ drain: async () => undefined, undrain: () => undefined, drained: undefined }, waker);
  return desk;
};

it.each<[string, (path: string) => Promise<unknown>]>([
  ['version', () => enterHome(home, '0.1.0')],
  ['peer-id', () => new Home(home).peer('attic')],
  [
    'daemon.json',
    () =>
      new Home(home).announce({
        ...{ pid: 1, peer: peerId('attic'), nats: 'mesh:/x', version: '0.1.0', temporary: false },
      }),
  ],
  ['listen', () => listenAddress(home, { host: '0.0.0.0', port: 4222 })],
  ['sealing-key', (path) => loadSealingKey(path)],
  [
    'drained.json',
    (path) => drains(path).obey({ kind: 'drain', by: 'ann', deadlineMs: 0 }) as Promise<unknown>,
  ],
])('%s is on the disk before it is in its place, and its name is after', async (name, write) => {
  const path = join(home, name);
  const syncs = await watchSyncs(path);
  await write(path);
  expect(syncs).toEqual([false, true]);
});
