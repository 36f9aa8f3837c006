import { CHUNK_BYTES, peerId } from '@podmesh/core';
import { BytesThreadLostError } from '@podmesh/transfer';
import { expect, it, vi } from 'vitest';
import {
  chunkListOf,
  MemoryDisk,
  Neighbours,
  sampleBytes,
  sourceOf,
} from '../../../transfer/src/transfer.test-kit.ts';
import { newStore } from '../store/store.test-kit.ts';
import { StoreDisk } from '../store/store-disk.ts';

/** A store with two of the three chunks of an artifact, as a transfer left them. */
async function begun() {
  const { bytes, id } = sampleBytes(2);
  const list = chunkListOf(bytes);
  const { store, next } = await newStore();
  const disk = new StoreDisk(store);
  const chunk = (index: number, of: Uint8Array = bytes) => {
    const start = index * CHUNK_BYTES;
    return new Uint8Array(of.subarray(start, start + CHUNK_BYTES));
  };
  const partial = await disk.begin(id, list);
  for (const index of [0, 1]) await partial.put(index, chunk(index));
  await partial.close();
  return { id, list, store, next, disk, chunk };
}

it('of another list than the right one only what it wrote over is lost', async () => {
  const { id, list, store, next, disk, chunk } = await begun();
  const lie = sampleBytes(2).bytes;
  const lied = await disk.begin(id, chunkListOf(lie));
  expect(lied.here.size).toBe(0);
  await lied.put(0, chunk(0, lie));
  await lied.close();
  expect(store.index.partial(id)?.hereBytes).toBeGreaterThan(0);
  const partial = await new StoreDisk(await next()).begin(id, list);
  expect([...partial.here]).toEqual([1]);
  await partial.close();
});

it('is kept when the thread that looks through it dies', async () => {
  const { id, list, store, disk } = await begun();
  vi.spyOn(store.wholes, 'matching').mockRejectedValueOnce(new BytesThreadLostError());
  await expect(disk.begin(id, list)).rejects.toBeInstanceOf(BytesThreadLostError);
  const partial = await disk.begin(id, list);
  expect([...partial.here].sort()).toEqual([0, 1]);
  await partial.close();
});

it('is kept when it is closed while its whole is hashed', async () => {
  const { id, list, store, disk, chunk } = await begun();
  const follow = store.wholes.follow.bind(store.wholes);
  vi.spyOn(store.wholes, 'follow').mockImplementationOnce((path) => ({
    ...follow(path),
    finish: () => new Promise(() => undefined),
  }));
  const partial = await disk.begin(id, list);
  await partial.put(2, chunk(2));
  const given = expect(partial.commit()).rejects.toThrow('before it was whole');
  await partial.close();
  await given;
  expect(await disk.has(id)).toBe(false);
  const again = await disk.begin(id, list);
  expect(again.here.size).toBe(3);
  expect(await again.commit()).toBe('stored');
});

it('is not waited for by a transfer that is stopped, but by the next', async () => {
  const { bytes, id } = sampleBytes(1);
  const mesh = new Neighbours();
  await mesh.add('a', sourceOf(bytes), id);
  const disk = new MemoryDisk();
  const begin = disk.begin.bind(disk);
  let look = (): void => undefined;
  const looked = new Promise<void>((resolve) => {
    look = resolve;
  });
  const began = vi.spyOn(disk, 'begin').mockImplementationOnce(async (...all) => {
    const partial = await begin(...all);
    await looked;
    return partial;
  });
  const { signal } = new AbortController();
  const stopped = mesh.transfers(disk);
  const left = expect(stopped.get(id, { signal })).rejects.toThrow('stops');
  await vi.waitFor(() => expect(began).toHaveBeenCalled(), 20_000);
  await stopped.stop();
  await left;
  const next = mesh.transfers(disk).get(id, { signal, hints: [peerId('a')] });
  look();
  await next;
  expect(disk.hasBytes(id, bytes)).toBe(true);
  expect(disk.open).toBe(0);
});
