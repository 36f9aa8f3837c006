import { type ArtifactId, type DiskLimits, EMPTY_ARTIFACT } from '@podmesh/core';
import { sampleArtifact } from '@podmesh/testkit';
import { describe, expect, it } from 'vitest';
import { ArtifactPins } from './artifact-pins.ts';
import { DiskBudget } from './disk-budget.ts';
import { DiskFullError } from './disk-full-error.ts';
import { StoreIndex } from './store-index.ts';

const HOUR = 3_600_000;
const idOf = (text: string): ArtifactId => sampleArtifact(Buffer.from(text)).ref.digest;

/** A disk of 1,000 bytes on which removing an artifact frees its bytes. */
function newCase(limits: Partial<DiskLimits> = {}, freeBytes = 100, inTreesBytes = 0) {
  const index = new StoreIndex(() => HOUR);
  const pins = new ArtifactPins('nowhere');
  const removed: ArtifactId[] = [];
  const disk = { totalBytes: 1_000, freeBytes };
  const budget = new DiskBudget({
    root: '/',
    index,
    pins,
    limits: { floorBytes: 0, ceilingBytes: 1_000, minFreeBytes: 0, ...limits },
    measure: async () => ({ ...disk }),
    remove: async (artifact) => {
      if (inTreesBytes === 0) disk.freeBytes += index.whole(artifact)?.bytes ?? 0;
      index.forgetWhole(artifact);
      removed.push(artifact);
    },
    dropTrees: async () => {
      disk.freeBytes += inTreesBytes;
    },
  });
  const add = (text: string, usedAtMs: number, bytes = 100) => {
    index.addWhole(idOf(text), bytes, { rank: 'copy', usedAtMs });
    return idOf(text);
  };
  return { index, pins, removed, disk, budget, add };
}

describe('the budget of a disk', () => {
  it('evicts nothing while there is room', async () => {
    const { budget, add, removed } = newCase();
    add('old', 1);
    await budget.reserve(100);
    expect(removed).toEqual([]);
  });

  it('evicts what was used least recently, and little more than it takes', async () => {
    const { budget, add, removed } = newCase();
    add('new', 3);
    const oldest = add('oldest', 1);
    const old = add('old', 2);
    await budget.reserve(250);
    expect(removed).toEqual([oldest, old]);
  });

  it('evicts a little ahead, so that the next need not choose again', async () => {
    const { budget, add, removed } = newCase();
    const [oldest, old] = [add('oldest', 1), add('old', 2)];
    add('new', 3);
    await budget.reserve(160);
    expect(removed).toEqual([oldest, old]);
  });

  it('tells what has room before anything gives way', async () => {
    const { budget, add } = newCase({ minFreeBytes: 30 });
    add('held', 1, 500);
    expect(await budget.freeRoom()).toBe(70);
    await budget.reserve(50);
    expect(await budget.freeRoom()).toBe(20);
    const full = newCase({ ceilingBytes: 520 });
    full.add('held', 1, 500);
    expect(await full.budget.freeRoom()).toBe(20);
    expect(await newCase({ minFreeBytes: 200 }).budget.freeRoom()).toBe(0);
  });

  it('counts what others were promised, until they wrote it or gave it back', async () => {
    const { budget, removed, disk } = newCase();
    const first = await budget.reserve(60);
    await expect(budget.reserve(60)).rejects.toBeInstanceOf(DiskFullError);
    first.wrote(40);
    disk.freeBytes -= 40;
    await expect(budget.reserve(60)).rejects.toBeInstanceOf(DiskFullError);
    first.release();
    first.release();
    expect(budget.reservedBytes).toBe(0);
    await budget.reserve(60);
    expect(removed).toEqual([]);
  });

  it('does not promise the same room twice to those who ask together', async () => {
    const { budget } = newCase();
    const asked = await Promise.allSettled([budget.reserve(60), budget.reserve(60)]);
    expect(asked.map(({ status }) => status)).toEqual(['fulfilled', 'rejected']);
  });

  it('leaves alone what is pinned, is being used, or was used since', async () => {
    const { budget, add, pins, index, removed } = newCase();
    const pinned = add('pinned', 1);
    pins.pin(pinned, { kind: 'person' });
    add('just used', HOUR - 1);
    index.putPartial(EMPTY_ARTIFACT, { bytes: 200, hereBytes: 100, isOpen: true }, 1);
    const refused = budget.reserve(150);
    await expect(refused).rejects.toThrow(
      /disk \/ \(.+\) is full: needs 150 B in \/.*in use or pinned.*podmesh cache prune/,
    );
    await expect(refused).rejects.toMatchObject({ code: 'ENOSPC', path: '/', neededBytes: 150 });
    expect(removed).toEqual([]);
  });

  it('refuses nothing for the free space it aims at, as long as the machine is not in need', async () => {
    const GIB = 2 ** 30;
    const { budget, removed, add } = newCase({ minFreeBytes: 20 * GIB, ceilingBytes: 1e15 }, GIB);
    const old = add('old', 1);
    await budget.reserve(GIB / 2);
    expect(removed).toEqual([old]);
    await expect(budget.reserve(GIB / 2)).rejects.toBeInstanceOf(DiskFullError);
  });

  it('evicts for what is needed where the space to stay free cannot be had', async () => {
    const GIB = 2 ** 30;
    const limits = { minFreeBytes: 20 * GIB, ceilingBytes: 1e15 };
    const { budget, removed, add } = newCase(limits, 21 * GIB);
    const old = add('old', 1, 10 * GIB);
    await budget.reserve(25 * GIB);
    expect(removed).toEqual([old]);
  });

  it('drops the folders that hold what was evicted, before it refuses or evicts more', async () => {
    const { budget, add, removed } = newCase({}, 100, 500);
    const old = add('old', 1, 200);
    await budget.reserve(250);
    expect(removed).toEqual([old]);
  });

  it('gives up copies above its ceiling, and refuses nothing for it', async () => {
    const { budget, add, removed, index } = newCase({ ceilingBytes: 150 }, 10_000);
    const old = add('old', 1);
    index.addWhole(idOf('kept'), 100, { rank: 'kept', usedAtMs: 0 });
    await budget.reserve(500);
    expect(removed).toEqual([old]);
  });
});
