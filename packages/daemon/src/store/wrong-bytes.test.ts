import { link, mkdir, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type ArtifactId, claimId, type Tree, type TreeEntry } from '@podmesh/core';
import { makeTree, parseTree } from '@podmesh/jetstream';
import { describe, expect, it } from 'vitest';
import { CacheAdmin } from './cache-admin.ts';
import {
  entries,
  fileEntry,
  flipByte,
  newStore,
  textStream,
  wrongBytesOf,
} from './store.test-kit.ts';
import { newFiles, wish } from './task-files.test-kit.ts';
import { buildTreeFolder, type TreeSource } from './tree-folder.ts';
import { WrongBytes } from './wrong-bytes.ts';

async function newCase() {
  const made = await newStore();
  const { store } = made;
  const mending = wrongBytesOf(store);
  const admin = new CacheAdmin(store, mending.wrongBytes);
  const readTree = async (listing: ArtifactId): Promise<Tree> =>
    parseTree(await readFile(store.pathOf(listing)), listing);
  const source: TreeSource = { store, readTree, fetch: async () => undefined };
  const add = async (text: string) => (await store.write(textStream(text))).digest;
  const addTree = async (...listed: readonly TreeEntry[]) => {
    const { bytes } = makeTree(listed);
    const { digest } = await store.write(textStream(Buffer.from(bytes).toString()));
    const folder = store.places.tree(digest);
    return { digest, folder, layOut: () => buildTreeFolder(source, digest, folder) };
  };
  return { ...made, ...mending, admin, source, add, addTree };
}

const file = (path: string, digest: ArtifactId, executable = false): TreeEntry => {
  return { kind: 'file', path, digest, bytes: 5, executable };
};

describe('wrong bytes', () => {
  it('come again from another holder, and are worth what they were', async () => {
    const { store, admin, add, holder } = await newCase();
    const digest = await add('bytes');
    holder.set(digest, 'bytes');
    await flipByte(store.pathOf(digest));
    expect((await admin.verify()).wrong).toMatchObject([{ artifact: digest, now: 'fetched' }]);
    expect(await readFile(store.pathOf(digest), 'utf8')).toBe('bytes');
    expect(store.index.whole(digest)).toMatchObject({ rank: 'kept' });
    expect((await admin.verify()).wrong).toEqual([]);
  });

  it('are in no folder any more, pinned or not, however deep; others stay', async () => {
    const { store, admin, add, addTree, told, holder } = await newCase();
    const [wrong, right] = [await add('bytes'), await add('other')];
    const inner = await addTree(file('x', wrong));
    const outer = await addTree({ kind: 'tree', path: 'deep', digest: inner.digest });
    const other = await addTree(file('y', right));
    for (const tree of [outer, other]) await tree.layOut();
    await admin.pin([outer.digest, other.digest]);
    holder.set(wrong, 'bytes');
    await flipByte(store.pathOf(wrong));
    expect((await admin.verify()).wrong).toMatchObject([{ now: 'fetched', ended: ['run/reader'] }]);
    expect(await store.places.treesThere()).toEqual([other.digest]);
    expect(told).toEqual([[wrong, outer.digest]]);
    await outer.layOut();
    expect(await readFile(join(outer.folder, 'deep/x'), 'utf8')).toBe('bytes');
  });

  it('of a listing are in no folder that has it in it', async () => {
    const { store, admin, add, addTree } = await newCase();
    const inner = await addTree(file('x', await add('bytes')));
    const outer = await addTree({ kind: 'tree', path: 'deep', digest: inner.digest });
    for (const tree of [inner, outer]) await tree.layOut();
    await flipByte(store.pathOf(inner.digest));
    expect((await admin.verify()).wrong).toMatchObject([{ artifact: inner.digest, now: 'lost' }]);
    expect(await store.places.treesThere()).toEqual([]);
  });

  it('of the executable copy alone are made again from the other', async () => {
    const { store, admin, add, addTree, told } = await newCase();
    const digest = await add('bytes');
    const tree = await addTree(file('run', digest, true));
    await tree.layOut();
    await flipByte(store.places.executable(digest));
    const { wrong, checked } = await admin.verify([digest]);
    expect(wrong).toEqual([{ artifact: digest, now: 'copied', ended: ['run/reader'] }]);
    expect(checked).toBe(1);
    expect(told).toEqual([[digest, tree.digest]]);
    expect(store.index.storeBytes()).toBe(5 + (store.index.whole(tree.digest)?.bytes ?? 0));
    await tree.layOut();
    expect(await readFile(join(tree.folder, 'run'), 'utf8')).toBe('bytes');
  });

  it('found while a folder is made of them are not in it either', async () => {
    const { store, wrongBytes, add, addTree, holder, source } = await newCase();
    const [wrong, last] = [await add('bytes'), await add('later')];
    holder.set(wrong, 'bytes');
    const tree = await addTree(file('a', wrong), file('b', last));
    await flipByte(store.pathOf(wrong));
    let isFound = false;
    const fetch = async (artifact: ArtifactId): Promise<void> => {
      // The first is linked already.
      if (artifact !== last || isFound) return;
      isFound = true;
      await wrongBytes.mend(wrong, 'file', wish.signal);
    };
    await buildTreeFolder({ ...source, fetch }, tree.digest, tree.folder);
    expect(isFound).toBe(true);
    expect(await readFile(join(tree.folder, 'a'), 'utf8')).toBe('bytes');
  });

  it('go with folders whose listing cannot be read: they may be in there', async () => {
    const { store, admin, add } = await newCase();
    const digest = await add('bytes');
    const folder = store.places.tree(await add('no listing'));
    await mkdir(dirname(join(folder, 'x')), { recursive: true });
    await link(store.pathOf(digest), join(folder, 'x'));
    await flipByte(store.pathOf(digest));
    await admin.verify([digest]);
    expect(await store.places.treesThere()).toEqual([]);
  });

  it('come from the object store where that has them, and a task reads the right ones', async () => {
    const here = await newFiles();
    const { files, store } = here;
    const ref = await files.storeOutput('dir', entries(fileEntry('a', 'text')));
    const folder = await files.input(ref, wish);
    const [digest] = [...store.index.wholes()].map(([id]) => id).filter((id) => id !== ref.digest);
    if (digest === undefined) throw new Error('there is a file');
    await flipByte(store.pathOf(digest));
    expect(await readFile(join(folder, 'a'), 'utf8')).not.toBe('text');
    const fetchAgain = files.fetchAgain.bind(files);
    const admin = new CacheAdmin(store, new WrongBytes({ store, fetchAgain }));
    expect((await admin.verify()).wrong).toEqual([{ artifact: digest, now: 'fetched', ended: [] }]);
    const again = await files.input(ref, { ...wish, claim: claimId('next') });
    expect(await readFile(join(again, 'a'), 'utf8')).toBe('text');
  });
});
