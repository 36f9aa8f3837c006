import { createHash } from 'node:crypto';
import { mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CHUNK_BYTES, EMPTY_ARTIFACT, SMALL_ARTIFACT_BYTES_MAX } from '@podmesh/core';
import { inPieces, sampleArtifact } from '@podmesh/testkit';
import { describe, expect, it } from 'vitest';
import {
  brokenStream,
  chunkedArtifact,
  namesIn,
  newStore,
  someBytes,
  textStream,
} from './store.test-kit.ts';

const modeOf = async (path: string): Promise<number> => (await stat(path)).mode & 0o777;

describe('the disk store', () => {
  it('keeps bytes under their digest, read-only, and nothing else', async () => {
    const { root, store } = await newStore();
    const { ref } = sampleArtifact(Buffer.from('hello world'));
    const stored = await store.write(textStream('hello ', 'world'));
    expect(stored).toEqual({ digest: ref.digest, bytes: 11 });
    expect(await readFile(store.pathOf(ref.digest), 'utf8')).toBe('hello world');
    expect(await modeOf(store.pathOf(ref.digest))).toBe(0o444);
    expect(await store.has(ref.digest)).toBe(true);
    expect(await namesIn(join(root, 'temporary'))).toEqual([]);
  });

  it('leaves nothing behind when the stream breaks', async () => {
    const { root, store } = await newStore();
    await expect(store.write(brokenStream('half'))).rejects.toThrow('the stream broke');
    expect(await namesIn(join(root, 'temporary'))).toEqual([]);
    expect(await namesIn(join(root, 'sha256'))).toEqual([]);
  });

  it('takes the same bytes twice, at the same time too', async () => {
    const { root, store } = await newStore();
    const [first, second] = await Promise.all([
      store.write(textStream('same')),
      store.write(textStream('sa', 'me')),
    ]);
    expect(second).toEqual(first);
    expect(await readFile(store.pathOf(first.digest), 'utf8')).toBe('same');
    expect(await namesIn(join(root, 'temporary'))).toEqual([]);
  });

  it('knows the empty artifact by its name', async () => {
    const { store } = await newStore();
    expect(await store.write(textStream())).toEqual({ digest: EMPTY_ARTIFACT, bytes: 0 });
  });

  it('sweeps away what a killed daemon left half written, and keeps the rest', async () => {
    const { root, store, next } = await newStore();
    const { digest } = await store.write(textStream('whole'));
    await writeFile(store.temporaryPath(), 'half');
    const restarted = await next();
    expect(await namesIn(join(root, 'temporary'))).toEqual([]);
    expect(await restarted.has(digest)).toBe(true);
  });

  it('makes an executable that is not the plain file', async () => {
    const { store } = await newStore();
    const { digest } = await store.write(textStream('#!/bin/sh\n'));
    const path = await store.executablePath(digest);
    expect(await modeOf(path)).toBe(0o555);
    expect(await modeOf(store.pathOf(digest))).toBe(0o444);
    expect(await store.executablePath(digest)).toBe(path);
  });

  it('leaves nothing of a file it cannot adopt', async () => {
    const { root, store } = await newStore();
    const path = store.temporaryPath();
    await writeFile(path, 'bytes');
    // Where the digest's folder should be there is a file: the rename cannot succeed.
    const hash = createHash('sha256').update('bytes');
    const { ref } = sampleArtifact(Buffer.from('bytes'));
    await writeFile(join(root, 'sha256', ref.digest.slice(7, 9)), '');
    await expect(store.adopt(path, hash, 5)).rejects.toThrow();
    expect(await namesIn(join(root, 'temporary'))).toEqual([]);
  });

  it.each([SMALL_ARTIFACT_BYTES_MAX, SMALL_ARTIFACT_BYTES_MAX + 1, 2 * CHUNK_BYTES + 1])(
    'hashes %i bytes, wherever it does so',
    async (length) => {
      const { root, store } = await newStore();
      const { bytes, digest, list } = chunkedArtifact(someBytes(length));
      expect(await store.write(inPieces(bytes, 300_000))).toEqual({ digest, bytes: length });
      expect((await readFile(store.pathOf(digest))).equals(bytes)).toBe(true);
      expect(await store.chunkList(digest)).toEqual(list);
      expect(await namesIn(join(root, 'temporary'))).toEqual([]);
      expect(store.budget.reservedBytes).toBe(0);
    },
  );

  it('leaves nothing behind when a large stream breaks', async () => {
    const { root, store } = await newStore();
    async function* broken() {
      yield* inPieces(someBytes(SMALL_ARTIFACT_BYTES_MAX * 3));
      throw new Error('the stream broke');
    }
    await expect(store.write(broken())).rejects.toThrow('the stream broke');
    expect(await namesIn(join(root, 'temporary'))).toEqual([]);
    expect(store.budget.reservedBytes).toBe(0);
  });

  it('writes the chunk list down with the bytes, and makes it again when it is gone', async () => {
    const { root, store, next } = await newStore();
    const { bytes, digest, list } = chunkedArtifact(someBytes(CHUNK_BYTES + 1));
    await store.write(inPieces(bytes));
    const path = join(root, 'chunks', digest.slice(7, 9), digest.slice(9));
    expect((await readFile(path)).toString('hex')).toBe(list.digests.join(''));
    await writeFile(path, 'torn');
    expect(await (await next()).chunkList(digest)).toEqual(list);
    expect((await readFile(path)).toString('hex')).toBe(list.digests.join(''));
  });

  it('has no chunk list of what it has not, nor of what is not what its name says', async () => {
    const { root, store } = await newStore();
    const { bytes, digest } = chunkedArtifact(someBytes(CHUNK_BYTES + 1));
    expect(await store.chunkList(digest)).toBeUndefined();
    await store.write(inPieces(bytes));
    await rm(join(root, 'chunks'), { recursive: true });
    await rm(store.pathOf(digest));
    await writeFile(
      store.pathOf(digest),
      bytes.map((byte) => byte ^ 1),
    );
    expect(await store.chunkList(digest)).toBeUndefined();
  });

  it('removes an artifact with all that was made of it', async () => {
    const { root, store } = await newStore();
    const { bytes, digest } = chunkedArtifact(someBytes(CHUNK_BYTES + 1));
    await store.write(inPieces(bytes));
    await store.executablePath(digest);
    expect(store.index.storeBytes()).toBe(2 * bytes.length);
    await store.remove(digest);
    await store.remove(digest);
    const shards = ['sha256', 'executable', 'chunks'].map((folder) =>
      namesIn(join(root, folder, digest.slice(7, 9))),
    );
    expect((await Promise.all(shards)).flat()).toEqual([]);
    expect(await store.has(digest)).toBe(false);
    expect(store.index.storeBytes()).toBe(0);
  });

  it('keeps what was pinned or used since it was chosen to go', async () => {
    let nowMs = 0;
    const { store } = await newStore({ nowMs: () => nowMs });
    const { digest } = await store.write(textStream('input'));
    nowMs = 60_000;
    const chosen = store.removeUnused(digest, 0);
    store.pins.pin(digest, { kind: 'person' });
    expect(await chosen).toBe(false);
    store.pins.unpin(digest, { kind: 'person' });
    expect(await store.has(digest)).toBe(true);
    nowMs = 120_000;
    expect(await store.removeUnused(digest, 0)).toBe(false);
    expect(await store.removeUnused(digest, 60_000)).toBe(true);
  });

  it('tells nobody that something is there which is on its way out', async () => {
    const { store } = await newStore();
    const { digest } = await store.write(textStream('listing'));
    const folder = store.places.tree(digest);
    await mkdir(folder, { recursive: true });
    const removal = store.remove(digest);
    const seen = Promise.all([store.has(digest), store.hasTree(digest, folder)]);
    expect(await seen).toEqual([false, false]);
    await removal;
    expect(await namesIn(store.places.temporary)).toEqual([]);
  });

  it('never has half of a tree under its name, and sweeps away those without a listing', async () => {
    const { store, next } = await newStore();
    const { digest: whole } = await store.write(textStream('listing'));
    const { digest: gone } = await store.write(textStream('gone'));
    for (const listing of [whole, gone]) {
      await mkdir(join(store.places.tree(listing), 'sub'), { recursive: true });
    }
    await rm(store.pathOf(gone));
    const { places } = await next();
    expect(await places.treesThere()).toEqual([whole]);
    // As a kill amid a removal leaves it.
    await rename(places.tree(whole), places.newTemporary());
    await next();
    expect(await namesIn(places.temporary)).toEqual([]);
  });

  it('stops when never started, twice, and can be asked again', async () => {
    const { store } = await newStore();
    await store.stop();
    const { digest } = await store.write(inPieces(someBytes(2 * SMALL_ARTIFACT_BYTES_MAX)));
    store.start();
    store.start();
    await store.stop();
    await store.stop();
    expect(await store.has(digest)).toBe(true);
  });
});
