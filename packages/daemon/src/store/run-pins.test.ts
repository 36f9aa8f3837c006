import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { artifactId, planEviction, runId, taskId } from '@podmesh/core';
import { freshAction } from '@podmesh/testkit';
import { describe, expect, it } from 'vitest';
import type { DiskStore } from './disk-store.ts';
import { namesIn, newStore, textStream } from './store.test-kit.ts';

const run = runId('abcdefghij12');
const success = { run, task: taskId('a:3') };
const other = { run, task: taskId('b') };
const apart = { ...success, apart: true } as const;
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
    expect([...store.runPins.runs]).toEqual([]);
  });

  it('are all there or not there: a part that is missing counts', async () => {
    const { store } = await newStore();
    const [listing, member] = [await write(store, 'listing'), await write(store, 'member')];
    await store.runPins.hold(success, [listing, member]);
    expect(store.runPins.hasAll(success, [listing])).toBe(false);
    await store.runPins.hold(success, [member], [listing]);
    expect(store.runPins.hasAll(success, [listing])).toBe(true);
    await store.remove(member);
    expect(store.runPins.hasAll(success, [listing])).toBe(false);
  });

  it('are all there although something else of their task is not', async () => {
    const { store, next } = await newStore();
    const [here, gone] = [await write(store, 'here'), await write(store, 'gone')];
    await store.runPins.hold(apart, [gone], [gone]);
    await store.runPins.hold(apart, [here], [here]);
    await store.remove(gone);
    for (const { runPins } of [store, await next()]) {
      expect(runPins.hasAll(apart, [here])).toBe(true);
      expect(runPins.hasAll(apart, [here, gone])).toBe(false);
    }
  });

  it('are pinned for themselves, and what attempts left with the same bytes for itself', async () => {
    const { store } = await newStore();
    const both = await write(store, 'both');
    await store.runPins.hold(success, [both], [both]);
    await store.runPins.hold(apart, [both], [both]);
    await store.runPins.release({ run, tasks: [success.task], as: 'spent' });
    expect(evictable(store)).toEqual([]);
    // Whoever counts on it still does: it is not the first to go.
    expect(store.index.whole(both)?.rank).toBe('kept');
    await store.runPins.hold(success, [both], [both]);
    await store.runPins.letGo(apart, 'kept');
    expect(evictable(store)).toEqual([]);
    await store.runPins.releaseRun(run);
    expect(evictable(store)).toEqual([both]);
  });

  it('of a failed attempt go when a later one left some; logs stay', async () => {
    const { store, next } = await newStore();
    const of = (attempt: number) => ({ ...apart, attempt });
    const [log, early, also, late] = await Promise.all(
      ['log', 'early', 'also', 'late'].map((text) => write(store, text)),
    );
    if (!log || !early || !also || !late) throw new Error('not written');
    await store.runPins.hold(apart, [log], [log]);
    await store.runPins.hold(of(1), [early], [early]);
    await store.runPins.hold(of(1), [also], [also]);
    expect(evictable(store)).toEqual([late]);
    await store.runPins.hold(of(2), [late], [late]);
    for (const one of [store, await next()])
      expect(new Set(evictable(one))).toEqual(new Set([early, also]));
    // An order that comes late takes nothing from it.
    await store.runPins.hold(of(1), [early], [early]);
    expect(evictable(store)).toEqual([also]);
  });

  it('that an older podmesh wrote down are held as they were', async () => {
    const { store, root, next } = await newStore();
    const [a, b] = [await write(store, 'a'), await write(store, 'b')];
    const old = { run, task: success.task, apart: true, artifacts: [a, b], outputs: [a] };
    await writeFile(join(root, 'held', `${run}.a:3.apart.json`), JSON.stringify(old));
    const loose = { run, task: other.task, artifacts: [b], outputs: [] };
    await writeFile(join(root, 'held', `${run}.b.json`), JSON.stringify(loose));
    const restarted = await next();
    expect(restarted.runPins.hasAll(apart, [a])).toBe(true);
    expect(evictable(restarted)).toEqual([]);
    await restarted.runPins.letGo(apart, 'kept');
    expect(evictable(restarted)).toEqual([a]);
  });

  it('are known by what an older podmesh reads of their file', async () => {
    const { store, root } = await newStore();
    const [listing, member] = [await write(store, 'listing'), await write(store, 'member')];
    await store.runPins.hold(success, [listing, member], [listing]);
    const text = await readFile(join(root, 'held', `${run}.a:3.json`), 'utf8');
    expect(JSON.parse(text)).toMatchObject({ artifacts: [listing, member], outputs: [listing] });
  });

  it('are told apart from what attempts left, as orders for other peers', async () => {
    const { store } = await newStore();
    const [log, listing, member, gone] = await Promise.all(
      ['log', 'listing', 'member', 'gone'].map((text) => write(store, text)),
    );
    if (!log || !listing || !member || !gone) throw new Error('not written');
    await store.runPins.hold(success, [member], [member]);
    for (const one of [log, gone]) await store.runPins.hold(apart, [one], [one]);
    await store.runPins.hold({ ...apart, attempt: 2 }, [listing, member], [listing]);
    await store.remove(gone);
    expect(store.runPins.leftApart).toEqual([
      { ...apart, outputs: [{ digest: log, kind: 'file', bytes: 3 }] },
      { ...apart, attempt: 2, outputs: [{ digest: listing, kind: 'dir', bytes: 13 }] },
    ]);
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
