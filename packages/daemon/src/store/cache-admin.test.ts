import { rm } from 'node:fs/promises';
import { CHUNK_BYTES, EMPTY_ARTIFACT } from '@podmesh/core';
import { makeTree } from '@podmesh/jetstream';
import { inPieces } from '@podmesh/testkit';
import { describe, expect, it } from 'vitest';
import { CacheAdmin } from './cache-admin.ts';
import {
  chunkedArtifact,
  flipByte,
  newStore,
  someBytes,
  textStream,
  wrongBytesOf,
} from './store.test-kit.ts';
import { StoreDisk } from './store-disk.ts';
import type { WholeRank } from './store-index.ts';

async function newCase() {
  let nowMs = 0;
  const made = await newStore({ nowMs: () => nowMs });
  /** Each is used an hour later than the one before. */
  const add = async (text: string, rank: WholeRank) => {
    nowMs += 3_600_000;
    return (await made.store.write(textStream(text), rank)).digest;
  };
  const rest = () => {
    nowMs += 3_600_000;
  };
  const mending = wrongBytesOf(made.store);
  return { ...made, ...mending, add, rest, admin: new CacheAdmin(made.store, mending.wrongBytes) };
}

describe('who looks after a cache', () => {
  it('sees what there is, the last used first, and why it stays', async () => {
    const { admin, add, rest, root } = await newCase();
    const old = await add('old', 'copy');
    const last = await add('newer', 'kept');
    rest();
    await admin.pin([old]);
    const listing = await admin.list();
    expect(listing).toMatchObject({ root, storeBytes: 8, reservedBytes: 0 });
    expect(listing.artifacts).toMatchObject([
      { artifact: last, bytes: 5, rank: 'kept', pins: [] },
      { artifact: old, bytes: 3, rank: 'copy', pins: [{ kind: 'person' }] },
    ]);
    await admin.unpin([old]);
    expect((await admin.list()).artifacts[1]?.pins).toEqual([]);
  });

  it('pins a directory with everything below its listing, and nothing that only looks like one', async () => {
    const { admin, add, store, next } = await newCase();
    const file = await add('a file', 'copy');
    const entry = { kind: 'file', path: 'x', digest: file, bytes: 6, executable: false } as const;
    const inner = await add(Buffer.from(makeTree([entry]).bytes).toString(), 'copy');
    const folder = { kind: 'tree', path: 'deep', digest: inner } as const;
    const outer = await add(Buffer.from(makeTree([folder]).bytes).toString(), 'copy');
    const alike = await add('{"entries":[1]}', 'copy');
    await admin.pin([outer, alike]);
    for (const pinned of [outer, inner, file, alike])
      expect((await next()).pins.isPinned(pinned)).toBe(true);
    await admin.unpin([outer]);
    expect([outer, inner, file].some((one) => store.pins.isPinned(one))).toBe(false);
  });

  it('prunes what nobody is going to read, and no more', async () => {
    const { admin, add, rest, store } = await newCase();
    const done = await add('done', 'done');
    const pinned = await add('pinned', 'done');
    const copy = await add('copy', 'copy');
    await admin.pin([pinned]);
    rest();
    expect(await admin.prune()).toEqual({ removed: [done], removedBytes: 4, storeBytes: 10 });
    expect(await store.has(done)).toBe(false);
    expect(await store.has(copy)).toBe(true);
  });

  it('prunes to a size, in the order of evictions, around what is pinned', async () => {
    const { admin, add, rest } = await newCase();
    const kept = await add('kept', 'kept');
    const copy = await add('copy', 'copy');
    const pinned = await add('done', 'done');
    await admin.pin([pinned]);
    rest();
    expect((await admin.prune({ to: 8 })).removed).toEqual([copy]);
    expect(await admin.prune({ to: 0 })).toMatchObject({ removed: [kept], storeBytes: 4 });
    expect((await admin.prune({ to: 0 })).removed).toEqual([]);
  });

  it('prunes nothing that is being put together', async () => {
    const { admin, rest, store } = await newCase();
    const large = chunkedArtifact(someBytes(CHUNK_BYTES + 1));
    const partial = await new StoreDisk(store).begin(large.digest, large.list);
    await partial.put(1, new Uint8Array(large.chunks[1] ?? []));
    rest();
    expect((await admin.prune({ to: 0 })).removed).toEqual([]);
    await partial.close();
    rest();
    expect((await admin.prune()).removed).toEqual([large.digest]);
  });

  it('verifies, loses what is wrong and nobody else has, and tells what is not there', async () => {
    const { admin, store } = await newCase();
    const large = chunkedArtifact(someBytes(CHUNK_BYTES + 1));
    await store.write(inPieces(large.bytes));
    const { digest: right } = await store.write(textStream('right'));
    const { digest: gone } = await store.write(textStream('gone'));
    await flipByte(store.pathOf(large.digest));
    await rm(store.pathOf(gone));
    expect(await admin.verify()).toEqual({
      checked: 2,
      checkedBytes: large.bytes.length + 5,
      wrong: [{ artifact: large.digest, now: 'lost', why: 'nobody has it', ended: ['run/reader'] }],
      missing: [gone],
    });
    expect(await store.has(large.digest)).toBe(false);
    expect(store.index.holds([large.digest, right, gone])).toMatchObject([{ artifact: right }]);
    const asked = await admin.verify([right, EMPTY_ARTIFACT]);
    expect(asked).toEqual({ checked: 1, checkedBytes: 5, wrong: [], missing: [EMPTY_ARTIFACT] });
  });

  it('prunes nothing that was used while it did', async () => {
    const { admin, add, rest, store } = await newCase();
    const [one, other] = [await add('one', 'done'), await add('other', 'done')];
    rest();
    const remove = store.removeUnused.bind(store);
    store.removeUnused = async (artifact, seenAtMs) => {
      await store.has(other);
      return await remove(artifact, seenAtMs);
    };
    expect((await admin.prune()).removed).toEqual([one]);
  });

  it('can be told to stop', async () => {
    const { admin, add } = await newCase();
    await add('one', 'copy');
    await expect(admin.verify(undefined, AbortSignal.abort())).rejects.toThrow('aborted');
  });
});
