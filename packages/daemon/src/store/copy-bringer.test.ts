import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type ArtifactId, type ArtifactRef, type KeepOrder, runId, taskId } from '@podmesh/core';
import { sampleArtifact } from '@podmesh/testkit';
import { expect, it } from 'vitest';
import { CopyBringer } from './copy-bringer.ts';
import { newStore, textStream } from './store.test-kit.ts';

const apart = { run: runId('abcdefghij12'), task: taskId('a'), apart: true } as const;
const [one, other] = ['one', 'other'].map((text) => sampleArtifact(Buffer.from(text)).ref);
if (one === undefined || other === undefined) throw new Error('no samples');
const orderOf = (...outputs: readonly ArtifactRef[]): KeepOrder => ({ ...apart, outputs });
const { signal } = new AbortController();

/** A peer to which bytes come when the test says so. */
async function newPeer() {
  const { store, root, next } = await newStore();
  const comes = new Map<ArtifactId, (text?: string) => Promise<void>>();
  const fetch = (artifact: ArtifactId) =>
    new Promise<void>((resolve, reject) => {
      comes.set(artifact, async (text) => {
        if (text === undefined) return reject(new Error('nobody gives it'));
        await store.write(textStream(text), 'copy');
        resolve();
      });
    });
  const readTree = () => Promise.reject(new Error('no directory'));
  const { runPins: pins } = store;
  const copies = new CopyBringer({ pins, sourceOf: () => ({ fetch, readTree }) });
  const come = async ({ digest }: ArtifactRef, text?: string) => {
    await expect.poll(() => comes.has(digest)).toBe(true);
    await comes.get(digest)?.(text);
  };
  return { store, root, next, copies, come };
}

it('an order that fails takes from another one of the same task neither its pins nor its answer', async () => {
  const { store, copies, come } = await newPeer();
  const failing = copies.bring(orderOf(other), signal);
  const brought = copies.bring(orderOf(one), signal);
  await expect.poll(() => store.pins.isPinned(one.digest)).toBe(true);
  // What is on its way is pinned, and what this peer's own attempt left meanwhile stays so.
  const own = (await store.write(textStream('own'))).digest;
  await store.runPins.hold(apart, [own], [own]);
  store.runPins.pin(apart, other.digest);
  await come(other);
  await expect(failing).rejects.toThrow('nobody gives it');
  expect([own, one.digest, other.digest].map((id) => store.pins.isPinned(id))).toEqual([
    true,
    true,
    true,
  ]);
  expect(copies.has(orderOf(one))).toBe(false);
  await come(one, 'one');
  await brought;
  expect(copies.has(orderOf(one))).toBe(true);
  expect(copies.has(orderOf(one, other))).toBe(false);
});

it('an order that failed stands in the way of none that comes later, also after a restart', async () => {
  const { store, next, copies, come } = await newPeer();
  const first = copies.bring(orderOf(one), signal);
  await come(one, 'one');
  await first;
  const failing = copies.bring(orderOf(other), signal);
  await come(other);
  await expect(failing).rejects.toThrow('nobody gives it');
  expect(store.pins.isPinned(other.digest)).toBe(false);
  expect(copies.has(orderOf(one))).toBe(true);
  const { runPins } = await next();
  expect(runPins.hasAll(apart, [one.digest])).toBe(true);
  expect(runPins.hasAll(apart, [other.digest])).toBe(false);
});

it('what cannot be written down is not kept, and all else still is', async () => {
  const { store, root, copies, come } = await newPeer();
  const own = (await store.write(textStream('own'))).digest;
  await store.runPins.hold(apart, [own], [own]);
  await rm(join(root, 'held'), { recursive: true });
  const failing = copies.bring(orderOf(one), signal);
  await come(one, 'one');
  await expect(failing).rejects.toThrow('ENOENT');
  expect(copies.has(orderOf(one))).toBe(false);
  expect([own, one.digest].map((id) => store.pins.isPinned(id))).toEqual([true, false]);
  expect(store.runPins.hasAll(apart, [own])).toBe(true);
});
