import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { artifactId, planEviction, runId, taskId } from '@podmesh/core';
import { freshAction } from '@podmesh/testkit';
import { describe, expect, it } from 'vitest';
import type { DiskStore } from './disk-store.ts';
import { namesIn, newStore, textStream } from './store.test-kit.ts';

const run = runId('abcdefghij12');
const success = { run, task: taskId('a:3') };
const other = { run, task: taskId('b') };
const FULL = { storeBytes: 2 ** 40, freeBytes: 0, neededBytes: 2 ** 40 };
const NO_FLOOR = { floorBytes: 0, ceilingBytes: 0, minFreeBytes: 2 ** 40 };

/** What would go if everything went that may. */
function evictable({ index, pins }: DiskStore) {
  // As somebody sees it who comes when nothing is in anybody's hands any more.
  const entries = index.entries((artifact) => pins.reasonsOf(artifact));
  const seen = entries.map((entry) => ({
    ...entry,
    pins: entry.pins.filter(({ kind }) => kind !== 'transfer'),
  }));
  return planEviction(seen, NO_FLOOR, { ...FULL, neededBytes: 0 }).evict;
}

const write = async (store: DiskStore, text: string) =>
  (await store.write(textStream(text))).digest;

describe('outputs that a run needs', () => {
  it('are never evicted before they are let go, not even after a restart', async () => {
    const { store, next } = await newStore();
    const [large, spare] = [await write(store, 'large'), await write(store, 'spare')];
    await store.runPins.hold(success, [large], [large]);
    expect(evictable(store)).toEqual([spare]);
    const restarted = await next();
    expect(evictable(restarted)).toEqual([spare]);
    expect(restarted.runPins.hasAll(success, [large])).toBe(true);
    expect([...restarted.runPins.runs]).toEqual([run]);
    await restarted.runPins.release({ run, tasks: [success.task], as: 'kept' });
    expect([...evictable(restarted)].sort()).toEqual([large, spare].sort());
    expect(evictable(await next())).toHaveLength(2);
  });

  it('go first when nobody reads them again, unless somebody else counts on the same bytes', async () => {
    const { store } = await newStore();
    const [mine, both] = [await write(store, 'mine'), await write(store, 'both')];
    await store.runPins.hold(success, [mine, both]);
    await store.runPins.hold(other, [both]);
    await store.runPins.release({ run, tasks: [success.task, taskId('unknown')], as: 'spent' });
    expect(store.index.whole(mine)?.rank).toBe('done');
    expect(store.index.whole(both)?.rank).toBe('kept');
    expect(evictable(store)).toEqual([mine]);
    await store.runPins.releaseRun(run);
    expect(evictable(store)).toEqual([mine, both]);
    expect(store.runPins.isHolding(other)).toBe(false);
  });

  it('are all there or not there: a part that is missing counts', async () => {
    const { store } = await newStore();
    const [listing, member] = [await write(store, 'listing'), await write(store, 'member')];
    await store.runPins.hold(success, [listing, member]);
    expect(store.runPins.hasAll(success, [listing])).toBe(false);
    await store.runPins.hold(success, [], [listing]);
    expect(store.runPins.hasAll(success, [listing])).toBe(true);
    await store.remove(member);
    expect(store.runPins.hasAll(success, [listing])).toBe(false);
  });

  it('may be a directory of very many', async () => {
    const { store } = await newStore();
    const members = Array.from({ length: 1_000 }, () => artifactId(freshAction()));
    await store.runPins.hold(success, members.slice(0, 10));
    await store.runPins.hold(success, members);
    expect(members.every((member) => store.pins.isPinned(member))).toBe(true);
    await store.runPins.releaseRun(run);
    expect(members.some((member) => store.pins.isPinned(member))).toBe(false);
  });

  it('that were torn while they were written down were not held yet', async () => {
    const { store, root, next } = await newStore();
    await store.runPins.hold(other, [await write(store, 'large')]);
    for (const name of ['torn.json', `${run}.a.json`, `${run}.b.json.new`])
      await writeFile(join(root, 'held', name), `{"run":"${run}","task":"`);
    const { runPins } = await next();
    expect([...runPins.runs]).toEqual([run]);
    expect(await namesIn(join(root, 'held'))).toEqual([`${run}.b.json`]);
  });
});
