import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CHUNK_BYTES } from '@podmesh/core';
import { expect, it, onTestFinished } from 'vitest';
import { BytesThread } from './bytes-thread.ts';
import { DownloadDisk } from './download-disk.ts';
import {
  chunkListOf,
  idOf,
  Neighbours,
  namesIn,
  sampleBytes,
  sourceOf,
  temporaryFolder,
} from './transfer.test-kit.ts';

async function newCase() {
  const folder = join(await temporaryFolder(), 'downloads');
  const next = () => {
    const thread = new BytesThread();
    onTestFinished(() => thread.stop());
    return new DownloadDisk(folder, thread);
  };
  return { folder, next };
}

const chunkOf = (bytes: Buffer, index: number) =>
  new Uint8Array(bytes.subarray(index * CHUNK_BYTES, (index + 1) * CHUNK_BYTES));

it('puts a file together from several sources, and leaves it alone in its folder', async () => {
  const { folder, next } = await newCase();
  const { bytes, id } = sampleBytes(5);
  const mesh = new Neighbours();
  const asked = new Set<string>();
  for (const name of ['ann', 'bob']) {
    const source = sourceOf(bytes);
    const read: typeof source.read = (place) => {
      asked.add(name);
      return source.read(place);
    };
    await mesh.add(name, { ...source, read }, id);
  }
  const disk = next();
  await mesh.transfers(disk).get(id, { bytes: bytes.length, signal: new AbortController().signal });
  expect(await namesIn(folder)).toEqual([id.replace(':', '-')]);
  expect((await readFile(disk.pathOf(id))).equals(bytes)).toBe(true);
  expect([...asked].sort()).toEqual(['ann', 'bob']);
});

it('goes on with what an earlier try left, as far as that is right', async () => {
  const { folder, next } = await newCase();
  const { bytes, id } = sampleBytes(4);
  const list = chunkListOf(bytes);
  const first = await next().begin(id, list);
  for (const index of [0, 2]) expect(await first.put(index, chunkOf(bytes, index))).toBe('here');
  expect(await first.put(1, chunkOf(bytes, 0))).toBe('corrupt');
  await first.close();
  await next().close();
  const part = join(folder, `${id.replace(':', '-')}.part`);
  const left = await readFile(part);
  left[0] = (left[0] ?? 0) ^ 1;
  await writeFile(part, left);
  const disk = next();
  const again = await disk.begin(id, list);
  expect([...again.here]).toEqual([2]);
  for (const index of [0, 1, 3, 4]) await again.put(index, chunkOf(bytes, index));
  expect(await again.commit()).toBe('stored');
  await again.close();
  expect((await readFile(disk.pathOf(id))).equals(bytes)).toBe(true);
});

it('keeps nothing of a whole that has another name, or of a try that had nothing', async () => {
  const { folder, next } = await newCase();
  const { bytes } = sampleBytes(1);
  const id = idOf(Buffer.from('something else'));
  const disk = next();
  const lie = await disk.begin(id, chunkListOf(bytes));
  for (const index of [0, 1]) await lie.put(index, chunkOf(bytes, index));
  expect(await lie.commit()).toBe('corrupt');
  await lie.close();
  await (await disk.begin(id, chunkListOf(bytes))).close();
  expect(await namesIn(folder)).toEqual([]);
  await disk.close();
  expect(await namesIn(join(folder, '..'))).toEqual([]);
});
