import { mkdir, readFile, utimes, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type ArtifactId, EMPTY_ARTIFACT } from '@podmesh/core';
import { sampleArtifact } from '@podmesh/testkit';
import { describe, expect, it } from 'vitest';
import { writeSnapshot } from './index-snapshot.ts';
import { namesIn, newStore, textStream } from './store.test-kit.ts';
import { StoreIndex } from './store-index.ts';

const HOUR = 3_600_000;
const NOBODY = () => [];
const idOf = (text: string): ArtifactId => sampleArtifact(Buffer.from(text)).ref.digest;

describe('the index of the store', () => {
  it('tells who asks what is here, whole or in part, and nothing that is not verified', () => {
    const index = new StoreIndex(() => 0);
    const [whole, open, left, begun] = [idOf('a'), idOf('b'), idOf('c'), idOf('d')];
    index.addWhole(whole, 7);
    index.putPartial(open, { bytes: 9, hereBytes: 5, isOpen: true });
    index.putPartial(left, { bytes: 9, hereBytes: 5, isOpen: false });
    index.putPartial(begun, { bytes: 9, hereBytes: 0, isOpen: true });
    expect(index.holds([whole, open, left, begun, EMPTY_ARTIFACT])).toEqual([
      { artifact: whole, bytes: 7, whole: true },
      { artifact: open, bytes: 9, whole: false },
    ]);
    expect(index.storeBytes()).toBe(17);
  });

  it('takes a partial for the first to go only when it was left alone', () => {
    let nowMs = HOUR;
    const index = new StoreIndex(() => nowMs);
    index.putPartial(EMPTY_ARTIFACT, { bytes: 9, hereBytes: 5, isOpen: false });
    const seen = () => index.entries(NOBODY).map(({ rank, pins }) => [rank, pins.length]);
    expect(seen()).toEqual([['copy', 1]]);
    nowMs += HOUR / 2;
    expect(seen()).toEqual([['copy', 0]]);
    nowMs += HOUR;
    expect(seen()).toEqual([['partial', 0]]);
  });

  it('takes what was touched just now for pinned, unless the clock was set back', () => {
    let nowMs = HOUR;
    const index = new StoreIndex(() => nowMs);
    index.addWhole(EMPTY_ARTIFACT, 0, { rank: 'copy' });
    expect(index.entries(NOBODY)).toMatchObject([{ pins: [{ kind: 'transfer' }] }]);
    nowMs -= 1;
    expect(index.entries(NOBODY)).toMatchObject([{ pins: [] }]);
  });
});

describe('after a restart', () => {
  it('is as it was when the last daemon stopped', async () => {
    let nowMs = 1_000;
    const { root, store, next } = await newStore({ nowMs: () => nowMs });
    store.start();
    const { digest } = await store.write(textStream('used'), 'copy');
    nowMs = 2_000;
    const { digest: tool } = await store.write(textStream('tool'));
    await store.executablePath(tool);
    store.index.setRank(tool, 'done');
    nowMs = 3_000;
    await store.has(digest);
    await store.stop();
    nowMs = 9_000;
    const { index } = await next();
    expect(index.whole(digest)).toMatchObject({
      bytes: 4,
      usedAtMs: 3_000,
      rank: 'copy',
      hasExecutable: false,
    });
    expect(index.whole(tool)).toMatchObject({ usedAtMs: 2_000, rank: 'done', hasExecutable: true });
    expect(await namesIn(join(root, 'temporary'))).toEqual([]);
  });

  it('asks the file itself after a crash', async () => {
    const { store, next } = await newStore({ nowMs: () => 9_000 });
    const { digest } = await store.write(textStream('used'));
    await utimes(store.pathOf(digest), 5, 5);
    expect((await next()).index.whole(digest)).toMatchObject({ bytes: 4, usedAtMs: 5_000 });
  });

  it('believes the folders, not a snapshot that is old or torn', async () => {
    const { root, store, next } = await newStore();
    const { digest: gone } = await store.write(textStream('gone'));
    const { digest } = await store.write(textStream('there'));
    await writeSnapshot(store.places, store.index);
    await store.remove(gone);
    const snapshot = join(root, 'index');
    expect([...(await next()).index.wholes()].map(([id]) => id)).toEqual([digest]);
    await writeFile(snapshot, (await readFile(snapshot, 'utf8')).slice(0, -20));
    expect([...(await next()).index.wholes()].map(([id]) => id)).toEqual([digest]);
    await writeFile(snapshot, '{"another":"version"}');
    expect((await next()).index.whole(digest)).toMatchObject({ bytes: 5 });
  });

  it('sweeps away lists and executables of nothing, and leaves foreign files alone', async () => {
    const { root, store, next } = await newStore();
    const { places } = store;
    for (const path of [places.executable(EMPTY_ARTIFACT), places.chunkList(EMPTY_ARTIFACT)]) {
      await mkdir(dirname(path), { recursive: true });
      await writeFile(path, 'left');
    }
    await mkdir(join(places.partials, 'no-digest'));
    await writeFile(join(places.files, 'README'), 'mine');
    await next();
    expect(await namesIn(dirname(places.executable(EMPTY_ARTIFACT)))).toEqual([]);
    expect(await namesIn(dirname(places.chunkList(EMPTY_ARTIFACT)))).toEqual([]);
    expect(await namesIn(places.partials)).toEqual([]);
    expect(await namesIn(join(root, 'sha256'))).toEqual(['README']);
  });
});
