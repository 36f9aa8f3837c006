import { open, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CHUNK_BYTES, EMPTY_ARTIFACT } from '@podmesh/core';
import { inPieces } from '@podmesh/testkit';
import { chunkPlace } from '@podmesh/transfer';
import { describe, expect, it } from 'vitest';
import { DiskFullError } from './disk-full-error.ts';
import { chunkedArtifact, namesIn, newStore, someBytes } from './store.test-kit.ts';
import { StoreDisk } from './store-disk.ts';

/** Three chunks, the last one shorter. */
const LARGE = chunkedArtifact(someBytes(2 * CHUNK_BYTES + 5));
const { digest, list } = LARGE;

/** A copy: what is put is moved to another thread. */
const chunk = (index: number, of = LARGE): Uint8Array =>
  new Uint8Array(of.chunks[index] ?? new Uint8Array());

async function newDisk(options: Parameters<typeof newStore>[0] = {}) {
  const { root, store, next } = await newStore(options);
  const partial = join(root, 'partial', digest.slice(7));
  return { root, store, next, partial, disk: new StoreDisk(store) };
}

/** Nothing is held any more, and nothing is left that is not whole. */
async function expectAtRest({ root, store }: Awaited<ReturnType<typeof newDisk>>): Promise<void> {
  expect(await namesIn(join(root, 'partial'))).toEqual([]);
  expect(await namesIn(join(root, 'temporary'))).toEqual([]);
  expect(store.budget.reservedBytes).toBe(0);
  expect(store.pins.isPinned(digest)).toBe(false);
}

it('drops what a transfer left once the whole came another way, and nothing that is in use', async () => {
  const { store } = await newStore();
  const disk = new StoreDisk(store);
  const partial = await disk.begin(digest, list);
  await partial.put(0, chunk(0));
  await store.dropPartial(digest);
  expect(store.index.partial(digest)?.isOpen).toBe(true);
  await partial.close();
  await store.dropPartial(digest);
  await store.dropPartial(digest);
  expect(store.index.partial(digest)).toBeUndefined();
  expect(await namesIn(store.places.partials)).toEqual([]);
});

describe('an artifact put together of chunks', () => {
  it.each([[[0, 1, 2]], [[2, 0, 1]]])('is stored, in the order %j', async (order) => {
    const made = await newDisk();
    const { disk, store } = made;
    expect(await disk.has(digest)).toBe(false);
    const partial = await disk.begin(digest, list);
    for (const index of order) expect(await partial.put(index, chunk(index))).toBe('here');
    expect([...partial.here].sort()).toEqual([0, 1, 2]);
    expect(await partial.commit()).toBe('stored');
    await partial.close();
    expect((await readFile(store.pathOf(digest))).equals(LARGE.bytes)).toBe(true);
    expect((await stat(store.pathOf(digest))).mode & 0o777).toBe(0o444);
    expect(await disk.has(digest)).toBe(true);
    expect(await disk.chunkList(digest)).toEqual(list);
    expect(store.index.whole(digest)).toMatchObject({ rank: 'copy', bytes: list.bytes });
    await expectAtRest(made);
  });

  it('may be of one chunk, or of none', async () => {
    const made = await newDisk();
    const { disk, store } = made;
    const small = chunkedArtifact(someBytes(10));
    const partial = await disk.begin(small.digest, small.list);
    await partial.put(0, chunk(0, small));
    expect(await partial.commit()).toBe('stored');
    const none = await disk.begin(EMPTY_ARTIFACT, { bytes: 0, digests: [] });
    expect(await none.commit()).toBe('stored');
    expect(store.index.holds([small.digest, EMPTY_ARTIFACT])).toHaveLength(2);
    expect(await disk.chunkList(small.digest)).toEqual(small.list);
    await expectAtRest(made);
  });

  it('takes no bytes that are not in the list, and takes the right ones twice', async () => {
    const { disk } = await newDisk();
    const partial = await disk.begin(digest, list);
    expect(await partial.put(0, chunk(1))).toBe('corrupt');
    expect(await partial.put(2, chunk(0))).toBe('corrupt');
    expect(await partial.put(7, chunk(0))).toBe('corrupt');
    expect([...partial.here]).toEqual([]);
    const twice = [partial.put(0, chunk(0)), partial.put(0, chunk(0))];
    expect(await Promise.all(twice)).toEqual(['here', 'here']);
    expect(await partial.put(0, chunk(1))).toBe('here');
    expect([...partial.here]).toEqual([0]);
    await partial.close();
  });

  it('of a list that lied is deleted, and can be begun anew', async () => {
    const made = await newDisk();
    const { disk, store } = made;
    const other = chunkedArtifact(someBytes(2 * CHUNK_BYTES + 5).map((byte) => byte ^ 1));
    const lie = await disk.begin(digest, other.list);
    for (const index of [0, 1, 2]) await lie.put(index, chunk(index, other));
    expect(await lie.commit()).toBe('corrupt');
    expect(await disk.has(digest)).toBe(false);
    expect(store.index.holds([digest])).toEqual([]);
    await expectAtRest(made);
    const partial = await disk.begin(digest, list);
    expect([...partial.here]).toEqual([]);
    await partial.close();
    await expectAtRest(made);
  });

  it('is one at a time', async () => {
    const { disk } = await newDisk();
    const partial = await disk.begin(digest, list);
    await expect(disk.begin(digest, list)).rejects.toThrow('put together already');
    await partial.close();
    await partial.close();
    await (await disk.begin(digest, list)).close();
  });

  it('goes on where an earlier try ended', async () => {
    const made = await newDisk();
    const { disk, next } = made;
    const first = await disk.begin(digest, list);
    await first.put(1, chunk(1));
    await first.put(0, chunk(0));
    await first.close();
    const later = new StoreDisk(await next());
    const partial = await later.begin(digest, list);
    expect([...partial.here].sort()).toEqual([0, 1]);
    await partial.put(2, chunk(2));
    expect(await partial.commit()).toBe('stored');
    await expectAtRest(made);
  });

  it('goes on after a kill, without what was torn', async () => {
    const { disk, next, partial: folder } = await newDisk();
    const killed = await disk.begin(digest, list);
    await killed.put(0, chunk(0));
    await killed.put(1, chunk(1));
    const here = Buffer.from([0b111]).toString('base64');
    await writeFile(
      join(folder, 'state'),
      JSON.stringify({ bytes: list.bytes, chunkBytes: CHUNK_BYTES, here }),
    );
    const bytes = await open(join(folder, 'bytes'), 'r+');
    await bytes.write(Buffer.from('torn'), 0, 4, CHUNK_BYTES + 100);
    await bytes.close();
    const store = await next();
    expect(store.index.partial(digest)).toMatchObject({ isOpen: false });
    expect(store.index.holds([digest])).toEqual([]);
    const partial = await new StoreDisk(store).begin(digest, list);
    expect([...partial.here]).toEqual([0]);
    for (const index of [1, 2]) await partial.put(index, chunk(index));
    expect(await partial.commit()).toBe('stored');
  });

  it.each(['', 'null', '{"bytes":-1}', '{"bytes":5,"chunkBytes":4194304,"here":"/w=="}'])(
    'begins anew after the state %j',
    async (state) => {
      const { disk, next, partial: folder } = await newDisk();
      const killed = await disk.begin(digest, list);
      await killed.put(0, chunk(0));
      await killed.close();
      await writeFile(join(folder, 'state'), state);
      const partial = await new StoreDisk(await next()).begin(digest, list);
      expect([...partial.here]).toEqual([]);
      await partial.close();
    },
  );

  it('keeps of another list what is the same', async () => {
    const { disk } = await newDisk();
    const first = await disk.begin(digest, list);
    await first.put(0, chunk(0));
    await first.put(1, chunk(1));
    await first.close();
    const digests = list.digests.with(0, '0'.repeat(64));
    const partial = await disk.begin(digest, { ...list, digests });
    expect([...partial.here]).toEqual([1]);
    await partial.close();
  });

  it('is refused before the first byte where there is no room', async () => {
    const measure = async () => ({ totalBytes: 1_000, freeBytes: CHUNK_BYTES });
    const made = await newDisk({ measure });
    await expect(made.disk.begin(digest, list)).rejects.toBeInstanceOf(DiskFullError);
    await expectAtRest(made);
    expect(made.store.index.storeBytes()).toBe(0);
  });

  it('goes on when the threads die under it', async () => {
    const { disk, store } = await newDisk();
    const partial = await disk.begin(digest, list);
    await partial.put(0, chunk(0));
    await Promise.all([store.chunks.stop(), store.wholes.stop()]);
    for (const index of [1, 2]) await partial.put(index, chunk(index));
    expect(await partial.commit()).toBe('stored');
  });
});

describe('what others are served', () => {
  it('is any part of a whole artifact', async () => {
    const { disk, store } = await newDisk();
    await store.write(inPieces(LARGE.bytes));
    const last = chunkPlace(digest, list.bytes, 2);
    expect(await disk.read(last)).toEqual(Buffer.from(chunk(2)));
    const part = { artifact: digest, index: 0, offset: 10, bytes: 20 };
    expect(await disk.read(part)).toEqual(Buffer.from(LARGE.bytes.subarray(10, 30)));
    expect(await disk.read({ ...last, bytes: 6 })).toBeUndefined();
    expect(await disk.read({ ...part, offset: -1 })).toBeUndefined();
  });

  it('is what is verified of a partial, and its list', async () => {
    const { disk, store } = await newDisk();
    const place = (index: number) => chunkPlace(digest, list.bytes, index);
    const partial = await disk.begin(digest, list);
    await partial.put(1, chunk(1));
    expect(await disk.chunkList(digest)).toEqual(list);
    expect(Buffer.from((await disk.read(place(1))) ?? []).equals(chunk(1))).toBe(true);
    expect(await disk.read(place(0))).toBeUndefined();
    expect(await disk.read({ ...place(1), bytes: 5 })).toBeUndefined();
    expect(store.index.holds([digest])).toMatchObject([{ bytes: list.bytes, whole: false }]);
    await partial.close();
    expect(await disk.chunkList(digest)).toBeUndefined();
    expect(await disk.read(place(1))).toBeUndefined();
    expect(store.index.holds([digest])).toEqual([]);
  });

  it('is used, and goes all the same when room is needed', async () => {
    let nowMs = 0;
    const { disk, store } = await newDisk({ nowMs: () => nowMs });
    await store.write(inPieces(LARGE.bytes));
    nowMs = 60_000;
    await disk.read(chunkPlace(digest, list.bytes, 0));
    expect(store.index.entries(() => [])).toMatchObject([{ usedAtMs: 60_000, pins: [] }]);
    expect(await store.removeUnused(digest, 0)).toBe(true);
  });

  it('is nothing of what is not here, or not any more', async () => {
    const { disk, store } = await newDisk();
    const place = chunkPlace(digest, list.bytes, 0);
    expect(await disk.read(place)).toBeUndefined();
    await store.write(inPieces(LARGE.bytes));
    await rm(store.pathOf(digest));
    expect(await disk.read(place)).toBeUndefined();
    expect(store.index.holds([digest])).toEqual([]);
  });
});
