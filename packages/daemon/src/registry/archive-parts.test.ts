import { randomBytes } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { gzipSync } from 'node:zlib';
import type { ArtifactId } from '@podmesh/core';
import { ArchiveProblem } from '@podmesh/registry';
import { describe, expect, it } from 'vitest';
import { idOf, imageOf, tarOf } from '../../../registry/src/archive/archive.test-kit.ts';
import { DiskFullError } from '../store/disk-full-error.ts';
import { DiskStore } from '../store/disk-store.ts';
import { onePiece } from '../store/one-piece.ts';
import { smallDisk } from '../store/small-disk.test-kit.ts';
import { namesIn, newStore, ROOMY } from '../store/store.test-kit.ts';
import { ArchiveParts } from './archive-parts.ts';
import { never } from './registry.test-kit.ts';

const MIB = 2 ** 20;
/** Room for an archive of half of it, and then not for its layer. */
const DISK_BYTES = 100 * MIB;
const tight = smallDisk(DISK_BYTES);

const NOBODY = { hold: () => () => undefined };

async function newParts(store?: DiskStore) {
  const found = store ?? (await newStore()).store;
  const held: ArtifactId[][] = [];
  const hold = (parts: readonly ArtifactId[]) => {
    held.push([...parts]);
    return () => void held.pop();
  };
  const archives = new ArchiveParts(found, { hold });
  const put = async (bytes: Uint8Array) => (await found.write(onePiece(bytes))).digest;
  const leftovers = () => namesIn(found.places.temporary);
  return { store: found, archives, put, held, leftovers };
}

async function textOf(store: DiskStore, artifact: ArtifactId): Promise<string> {
  const pieces: Uint8Array[] = [];
  for await (const piece of store.read(artifact)) pieces.push(piece);
  return Buffer.concat(pieces).toString();
}

describe('an image archive on this disk', () => {
  const image = imageOf(['the base', randomBytes(3 * MIB)]);

  it.each([
    ['OCI', (): Buffer => tarOf(image.oci)],
    ['Docker', (): Buffer => tarOf(image.docker)],
    ['OCI, compressed', (): Buffer => gzipSync(tarOf(image.oci))],
  ])('of %s becomes its parts, each an artifact of its own', async (_, bytes) => {
    const { store, archives, put, held, leftovers } = await newParts();
    const taken = await archives.take(await put(bytes()), never);
    expect(taken?.parts.slice(1)).toEqual(image.parts);
    for (const part of taken?.parts ?? []) expect(await store.has(part)).toBe(true);
    expect(await textOf(store, idOf('the base'))).toBe('the base');
    expect(idOf(await textOf(store, taken?.record.digest as ArtifactId))).toBe(
      taken?.record.digest,
    );
    expect([held, await leftovers()]).toEqual([[], []]);
  });

  it('is taken apart once for all who want it, and what is here is not written again', async () => {
    const { store, archives, put } = await newParts();
    await put(Buffer.from('the base'));
    const wasHeld = store.index.whole(idOf('the base'));
    const archive = await put(tarOf(image.oci));
    const both = await Promise.all([archives.take(archive), archives.take(archive, never)]);
    expect(both[0]).toBe(both[1]);
    // Its own rank stays: one that was written again would be the first to go.
    expect(store.index.whole(idOf('the base'))?.rank).toBe(wasHeld?.rank);
  });

  it('pins its parts while they are stored', async () => {
    const { store, put } = await newParts();
    const seen: ArtifactId[] = [];
    const archives = new ArchiveParts(store, {
      hold: (parts) => {
        seen.push(...parts);
        return () => undefined;
      },
    });
    const taken = await archives.take(await put(tarOf(image.oci)));
    expect(seen).toEqual(taken?.parts);
  });

  it('with an empty layer has parts that all are stored somewhere', async () => {
    const { archives, put } = await newParts();
    const taken = await archives.take(await put(tarOf(imageOf(['', 'x']).oci)));
    expect(taken?.parts).not.toContain(idOf(''));
    expect(taken?.parts).toHaveLength(3);
  });

  it('that is empty is none', async () => {
    const { archives } = await newParts();
    await expect(archives.take(idOf(''))).rejects.toThrow(ArchiveProblem);
  });

  it('that only Podman can read is left to it', async () => {
    const { archives, put } = await newParts();
    for (const begin of ['425a6839', 'fd377a585a0000', '28b52ffd00'])
      expect(await archives.take(await put(Buffer.from(begin, 'hex')))).toBeUndefined();
  });

  it('whose parts are not what their names say is refused, and nothing has a wrong name', async () => {
    const { store, archives, put, held, leftovers } = await newParts();
    for (const kind of ['oci', 'docker'] as const) {
      const bytes = tarOf(image[kind]);
      const at = bytes.indexOf('the base');
      bytes.write('the bass', at);
      const taking = archives.take(await put(bytes));
      await expect(taking).rejects.toThrow(/is damaged: its part sha256:\w+ has the digest/);
      await expect(taking).rejects.toBeInstanceOf(ArchiveProblem);
      expect(store.index.whole(idOf('the base'))).toBeUndefined();
      expect(store.index.whole(idOf('the bass'))).toBeUndefined();
    }
    expect([held, await leftovers()]).toEqual([[], []]);
  });

  it('that grows beyond all measure is refused before it fills the disk', async () => {
    const { archives, put, leftovers } = await newParts();
    const bomb = gzipSync(Buffer.alloc(80 * MIB));
    const taking = archives.take(await put(bomb));
    await expect(taking).rejects.toThrow(/grows to more than 67108864 .* which no image does/);
    expect(await leftovers()).toEqual([]);
  });

  it('that grows evicts only so much of what others may want again', async () => {
    // All that is free is to stay so: whatever is written takes the place of something.
    const measure = async () => ({ totalBytes: 1_000 * MIB, freeBytes: 500 * MIB });
    const limits = { ...ROOMY, minFreeBytes: 500 * MIB };
    const { archives, put, leftovers } = await newParts(
      (await newStore({ measure, limits })).store,
    );
    const grows = gzipSync(Buffer.concat([randomBytes(MIB), Buffer.alloc(80 * MIB)]));
    await expect(archives.take(await put(grows))).rejects.toThrow(
      /grows to more than 67108864 .* no room to spare/,
    );
    expect(await leftovers()).toEqual([]);
    const roomy = await newParts();
    await expect(roomy.archives.take(await roomy.put(grows))).rejects.toThrow(/is no tar archive/);
  });

  it('that is compressed and cut off, or damaged, is refused', async () => {
    const { archives, put, leftovers } = await newParts();
    const whole = gzipSync(tarOf(image.oci));
    const damaged = Buffer.from(whole);
    const middle = Math.floor(whole.length / 2);
    damaged.fill(0, middle, middle + 64);
    for (const bytes of [whole.subarray(0, middle), damaged])
      await expect(archives.take(await put(bytes))).rejects.toThrow(ArchiveProblem);
    expect(await leftovers()).toEqual([]);
  });

  it('ends with whoever waited for it', async () => {
    const { archives, put, held, leftovers } = await newParts();
    const archive = await put(tarOf(image.oci));
    const stop = new AbortController();
    const taking = archives.take(archive, stop.signal);
    stop.abort(new Error('not wanted any more'));
    await expect(taking).rejects.toThrow('not wanted any more');
    // Whoever asks next begins anew, and finds nothing of the first in its way.
    expect((await archives.take(archive))?.parts).toContain(idOf('the base'));
    expect([held, await leftovers()]).toEqual([[], []]);
  });

  it.skipIf(tight === undefined)('names a full disk, and leaves nothing half stored', async () => {
    const root = (await tight?.newFolder()) ?? '';
    const store = new DiskStore(root, { limits: ROOMY });
    try {
      await store.prepare();
      const archives = new ArchiveParts(store, NOBODY);
      for (const pack of [(bytes: Buffer) => bytes, gzipSync]) {
        const large = imageOf(['small', randomBytes(DISK_BYTES / 2 - MIB)]);
        const { digest } = await store.write(onePiece(pack(tarOf(large.oci))));
        await expect(archives.take(digest)).rejects.toBeInstanceOf(DiskFullError);
        expect(await namesIn(store.places.temporary)).toEqual([]);
        expect(store.index.whole(large.layers[1] as ArtifactId)).toBeUndefined();
        await store.remove(digest);
      }
    } finally {
      await store.stop();
      await rm(root, { recursive: true, force: true });
    }
  });
});
