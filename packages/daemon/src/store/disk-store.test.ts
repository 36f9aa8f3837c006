import { createHash } from 'node:crypto';
import { readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { EMPTY_ARTIFACT } from '@podmesh/core';
import { sampleArtifact } from '@podmesh/testkit';
import { describe, expect, it } from 'vitest';
import { DiskStore } from './disk-store.ts';
import { brokenStream, namesIn, temporaryFolder, textStream } from './store.test-kit.ts';

async function newStore() {
  const root = await temporaryFolder();
  const store = new DiskStore(root);
  await store.prepare();
  return { root, store };
}

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
    const { root, store } = await newStore();
    const { digest } = await store.write(textStream('whole'));
    await writeFile(store.temporaryPath(), 'half');
    const restarted = new DiskStore(root);
    await restarted.prepare();
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
});
