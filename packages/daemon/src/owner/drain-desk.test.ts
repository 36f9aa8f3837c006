import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type PeerId, peerId } from '@podmesh/core';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { DrainOrder } from '../claim/drain.ts';
import { silent } from '../daemon.test-kit.ts';
import { DrainDesk } from './drain-desk.ts';

async function newCase() {
  const folder = await mkdtemp(join(tmpdir(), 'podmesh-drain-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const file = join(folder, 'drained.json');
  const clock = { nowMs: Date.UTC(2026, 0, 1) };
  const told: (DrainOrder | 'undrain')[] = [];
  const peer = {
    drain: async (order: DrainOrder) => void told.push(order),
    undrain: () => void told.push('undrain'),
    drained: undefined,
  };
  const woken: string[] = [];
  const waker = {
    wake: async (sleeper: PeerId, by: string) => {
      woken.push(`${sleeper} by ${by}`);
      return { kind: 'refused', message: 'it is in no network of attic' } as const;
    },
  };
  const newDesk = () => new DrainDesk({ file, logger: silent, now: () => clock.nowMs });
  return { folder, file, clock, told, peer, woken, waker, newDesk };
}

const DRAIN = { kind: 'drain', deadlineMs: 60_000, by: 'me' } as const;

describe('the desk where a peer is drained', () => {
  it('writes it down before it answers, so that a restart goes on with what is left of the time', async () => {
    const { folder, clock, told, peer, waker, newDesk } = await newCase();
    const desk = newDesk();
    expect(await desk.load()).toBeUndefined();
    desk.open(peer, waker);
    expect(await desk.obey(DRAIN)).toEqual({ kind: 'done' });
    expect(told).toEqual([{ by: 'me', deadlineMs: 60_000 }]);
    clock.nowMs += 20_000;
    expect(await newDesk().load()).toEqual({ by: 'me', deadlineMs: 40_000 });
    clock.nowMs += 100_000;
    expect(await newDesk().load()).toEqual({ by: 'me', deadlineMs: 0 });
    clock.nowMs -= 3_600_000;
    expect(await newDesk().load()).toEqual({ by: 'me', deadlineMs: 60_000 });
    expect(await desk.obey({ kind: 'undrain', by: 'me' })).toEqual({ kind: 'done' });
    expect(told.at(-1)).toBe('undrain');
    expect(await newDesk().load()).toBeUndefined();
    expect(await readdir(folder)).toEqual([]);
  });

  it('takes a note that it cannot understand for a drain', async () => {
    const { file, newDesk } = await newCase();
    await writeFile(file, '{"by":');
    expect(await newDesk().load()).toEqual({ by: 'somebody, before a restart', deadlineMs: 0 });
  });

  it('refuses what it cannot write down, and leaves the peer alone', async () => {
    const { folder, told, peer, waker, newDesk, file } = await newCase();
    const desk = newDesk();
    expect(await desk.obey(DRAIN)).toEqual({ kind: 'refused', message: 'it is still starting' });
    desk.open(peer, waker);
    await rm(folder, { recursive: true });
    expect(await desk.obey(DRAIN)).toMatchObject({
      kind: 'refused',
      message: expect.stringContaining('ENOENT'),
    });
    expect(told).toEqual([]);
    await expect(readFile(file)).rejects.toThrow('ENOENT');
  });

  it('leaves waking to who knows the networks, and says what that says', async () => {
    const { peer, woken, waker, newDesk } = await newCase();
    const desk = newDesk();
    const wake = { kind: 'wake', sleeper: peerId('attic'), by: 'me' } as const;
    expect(await desk.obey(wake)).toMatchObject({ message: 'it is still starting' });
    desk.open(peer, waker);
    expect(await desk.obey(wake)).toMatchObject({ message: 'it is in no network of attic' });
    expect(woken).toEqual(['attic by me']);
  });
});
