import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { SWEEP_PAUSE_MS, SWEEP_STOP_MS_MAX } from './crun-limits.ts';
import { Sweeper } from './sweeper.ts';
import type { UserNamespace } from './user-namespace.ts';

/** Pauses end when a test says so, whatever their length. */
const pauses = vi.hoisted(() => new Map<number, () => void>());
vi.mock('node:timers/promises', () => ({
  setTimeout: (ms: number, value: unknown, { signal }: { signal?: AbortSignal } = {}) =>
    new Promise((resolve, reject) => {
      if (signal?.aborted) reject(signal.reason);
      signal?.addEventListener('abort', () => reject(signal.reason));
      pauses.set(ms, () => resolve(value));
    }),
}));
afterEach(() => pauses.clear());

/** A namespace that deletes when, and as long as, a test wants. */
async function newSweeper(run: () => Promise<void> = async () => undefined) {
  const directory = await mkdtemp(join(tmpdir(), 'podmesh-sweep-'));
  onTestFinished(() => rm(directory, { recursive: true, force: true }));
  const trash = join(directory, 'trash');
  const now = { run, runs: 0 };
  const namespace = {
    run: async (argv: readonly string[]) => {
      now.runs += 1;
      await now.run();
      const place = argv.at(-1) ?? '';
      for (const name of await readdir(place)) await rm(join(place, name), { recursive: true });
    },
  } as unknown as UserNamespace;
  const sweeper = new Sweeper(namespace, trash);
  const waste = async (name: string) => {
    const place = join(directory, name);
    await mkdir(place);
    await writeFile(join(place, 'file'), 'x');
    return place;
  };
  return { sweeper, trash, now, waste, directory };
}

describe('Sweeper', () => {
  it('takes a directory away at once, and deletes it with others after a pause', async () => {
    const { sweeper, trash, now, waste, directory } = await newSweeper();
    await sweeper.start();
    await sweeper.discard(await waste('a'));
    await sweeper.discard(await waste('b'));
    expect(await readdir(directory)).toEqual(['trash']);
    expect(await readdir(trash)).toHaveLength(2);
    expect(now.runs).toBe(0);
    pauses.get(SWEEP_PAUSE_MS)?.();
    await expect.poll(() => readdir(trash), { interval: 1 }).toEqual([]);
    expect(now.runs).toBe(1);
  });

  it('does not mind what is gone already, and says what cannot be taken away', async () => {
    const { sweeper, waste, directory } = await newSweeper();
    await sweeper.start();
    await sweeper.discard(join(directory, 'gone'));
    const place = await waste('a');
    await expect(sweeper.discard(join(place, 'file', 'x'))).rejects.toMatchObject({
      code: 'ENOTDIR',
    });
  });

  it('deletes what an earlier daemon left, and what came last, before it stops', async () => {
    const { sweeper, trash, waste } = await newSweeper();
    await mkdir(join(trash, 'old'), { recursive: true });
    await sweeper.start();
    await sweeper.discard(await waste('a'));
    await sweeper.stop();
    expect(await readdir(trash)).toEqual([]);
    await sweeper.stop();
  });

  it('stops when it was never started', async () => {
    const { sweeper, now } = await newSweeper();
    await sweeper.stop();
    expect(now.runs).toBe(0);
  });

  it('stops when deleting takes too long, and not before', async () => {
    const { sweeper, trash, now, waste } = await newSweeper(() => new Promise(() => undefined));
    await sweeper.start();
    await sweeper.discard(await waste('a'));
    let hasStopped = false;
    const stopped = sweeper.stop().then(() => {
      hasStopped = true;
    });
    await expect.poll(() => now.runs, { interval: 1 }).toBe(1);
    expect(hasStopped).toBe(false);
    pauses.get(SWEEP_STOP_MS_MAX)?.();
    await stopped;
    expect(await readdir(trash)).toHaveLength(1);
  });

  it('goes on after a failure', async () => {
    const { sweeper, trash, now, waste } = await newSweeper(() => Promise.reject(new Error('no')));
    await sweeper.start();
    await sweeper.discard(await waste('a'));
    pauses.get(SWEEP_PAUSE_MS)?.();
    await expect.poll(() => now.runs, { interval: 1 }).toBe(1);
    now.run = async () => undefined;
    await sweeper.discard(await waste('b'));
    await sweeper.stop();
    expect(await readdir(trash)).toEqual([]);
  });
});
