import { readdir } from 'node:fs/promises';
import { EMPTY_ARTIFACT } from '@podmesh/core';
import { sampleArtifact } from '@podmesh/testkit';
import { describe, expect, it } from 'vitest';
import { ROOMY } from '../store/store.test-kit.ts';
import { SHARED_PART_BYTES_MAX } from './image-limits.ts';
import { never, newBlobs, textId, write } from './registry.test-kit.ts';

async function textOf(bytes: AsyncIterable<Uint8Array>): Promise<string> {
  const pieces: Uint8Array[] = [];
  for await (const piece of bytes) pieces.push(piece);
  return Buffer.concat(pieces).toString();
}

describe('blobs of images', () => {
  it('that were written are found and read, in whole and in part', async () => {
    const { blobs } = await newBlobs();
    const digest = await write(blobs, '0123456789');
    expect(digest).toBe(textId('0123456789'));
    expect(await blobs.find(digest, never)).toBe(10);
    expect(await blobs.bring(digest, undefined, never)).toBe(10);
    expect(await textOf(blobs.read(digest, { start: 0, end: 10 }))).toBe('0123456789');
    expect(await textOf(blobs.read(digest, { start: 3, end: 5 }))).toBe('34');
  });

  it('that nobody has are not found', async () => {
    const { blobs } = await newBlobs();
    expect(await blobs.find(textId('nobody'), never)).toBeUndefined();
    expect(await blobs.bring(textId('nobody'), 7, never)).toBeUndefined();
  });

  it('the empty one is always there, and nothing is stored for it', async () => {
    const { blobs, store, ports } = await newBlobs();
    expect(await write(blobs, '')).toBe(EMPTY_ARTIFACT);
    expect(await blobs.find(EMPTY_ARTIFACT, never)).toBe(0);
    expect(await blobs.bring(EMPTY_ARTIFACT, undefined, never)).toBe(0);
    expect(await textOf(blobs.read(EMPTY_ARTIFACT, { start: 0, end: 0 }))).toBe('');
    await blobs.share(EMPTY_ARTIFACT, 0);
    expect(store.index.whole(EMPTY_ARTIFACT)).toBeUndefined();
    expect(await readdir(store.places.temporary)).toEqual([]);
    expect((await ports.artifacts.stat([textId('')])).size).toBe(1);
  });

  it('come from another peer once, however many want them', async () => {
    const { blobs, transfers } = await newBlobs({ elsewhere: ['a layer'] });
    const layer = textId('a layer');
    expect(await blobs.find(layer, never)).toBe(7);
    expect(transfers).toEqual([]);
    const brought = await Promise.all([1, 2, 3].map(() => blobs.bring(layer, 7, never)));
    expect(brought).toEqual([7, 7, 7]);
    expect(await blobs.bring(layer, undefined, never)).toBe(7);
    expect(transfers).toEqual([{ artifact: layer, bytes: 7 }]);
  });

  it('small ones come from the object store, where no peer has to be up', async () => {
    const { blobs, ports, transfers } = await newBlobs({ elsewhere: ['small'] });
    const { ref, bytes } = sampleArtifact(Buffer.from('small'));
    await ports.artifacts.put(
      ref,
      (async function* () {
        yield bytes;
      })(),
    );
    expect(await blobs.bring(ref.digest, undefined, never)).toBe(5);
    expect(transfers).toEqual([]);
  });

  it('are shared with the mesh up to a size, once', async () => {
    const { blobs, ports } = await newBlobs();
    const digest = await write(blobs, 'a config');
    await blobs.share(digest, 8);
    await blobs.share(digest, 8);
    expect((await ports.artifacts.stat([digest])).get(digest)?.bytes).toBe(8);
    const large = await write(blobs, 'as if it were large');
    await blobs.share(large, SHARED_PART_BYTES_MAX + 1);
    expect((await ports.artifacts.stat([large])).size).toBe(0);
  });

  it('that are held are not evicted, until they are let go', async () => {
    const { blobs, store } = await newBlobs();
    const digest = await write(blobs, 'held');
    const [release, again] = [blobs.hold([digest]), blobs.hold([digest])];
    release();
    expect(store.pins.isPinned(digest)).toBe(true);
    again();
    expect(store.pins.isPinned(digest)).toBe(false);
  });

  it('an upload that is given up leaves nothing; of a killed daemon the next start sweeps it', async () => {
    const { blobs, store, next } = await newBlobs();
    const upload = await blobs.beginUpload();
    await upload.write(Buffer.from('half'));
    expect(await readdir(store.places.temporary)).toHaveLength(1);
    await upload.discard();
    await upload.discard();
    expect(await readdir(store.places.temporary)).toEqual([]);
    const killed = await blobs.beginUpload();
    await killed.write(Buffer.from('half'));
    const { places, index } = await next();
    expect(await readdir(places.temporary)).toEqual([]);
    expect(index.whole(textId('half'))).toBeUndefined();
    await killed.discard();
  });

  it('a full disk is named, and nothing of the upload is left', async () => {
    const measure = async () => ({ totalBytes: 10 * 2 ** 30, freeBytes: 0 });
    const { blobs, store } = await newBlobs({ disk: { limits: ROOMY, measure } });
    const upload = await blobs.beginUpload();
    const large = upload.write(new Uint8Array(2 * 2 ** 20));
    await expect(large).rejects.toMatchObject({ code: 'ENOSPC' });
    await expect(large).rejects.toThrow(/disk .* is full: needs .*podmesh cache prune/);
    await upload.discard();
    expect(await readdir(store.places.temporary)).toEqual([]);
  });
});
