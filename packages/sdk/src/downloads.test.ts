import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { CHUNK_BYTES, type ChunkTransport, type MemberDirectory, refused } from '@podmesh/core';
import { expect, it, onTestFinished } from 'vitest';
import {
  Neighbours,
  namesIn,
  sampleBytes,
  sourceOf,
  temporaryFolder,
} from '../../transfer/src/transfer.test-kit.ts';
import { Downloads } from './downloads.ts';

const noRelay: ChunkTransport = {
  chunkList: async () => refused({ kind: 'not-here' }),
  fetch: async () => refused({ kind: 'not-here' }),
};

async function newCase(change: Partial<ConstructorParameters<typeof Downloads>[1]> = {}) {
  const folder = await temporaryFolder();
  const mesh = new Neighbours();
  const { bytes, id } = sampleBytes(3);
  const members: Pick<MemberDirectory, 'list'> = { list: async () => [] };
  const finder = { ...mesh.finder(), answer: async () => undefined };
  const parts = { finder, peers: mesh.peers(), members, relay: noRelay, ...change };
  const downloads = new Downloads(join(folder, '.downloads'), parts);
  onTestFinished(() => downloads.close());
  const fetchInto = (name: string, mode = 0o644) =>
    downloads.fetchInto(id, { bytes: bytes.length, mode }, join(folder, name));
  return { folder, mesh, bytes, id, downloads, fetchInto };
}

it('puts a large file where it is wanted, straight from those who have it', async () => {
  const { folder, mesh, bytes, id, downloads, fetchInto } = await newCase();
  for (const name of ['ann', 'bob']) await mesh.add(name, sourceOf(bytes), id);
  expect(await fetchInto('file', 0o755)).toBe(true);
  expect((await readFile(join(folder, 'file'))).equals(bytes)).toBe(true);
  expect((await stat(join(folder, 'file'))).mode & 0o700).toBe(0o700);
  expect(downloads.came).toEqual({ direct: bytes.length, relayed: 0 });
  await downloads.close();
  expect(await namesIn(folder)).toEqual(['file']);
});

it('brings what is wanted twice once, and gives each its own copy', async () => {
  const { folder, mesh, bytes, id, downloads, fetchInto } = await newCase();
  await mesh.add('ann', sourceOf(bytes), id);
  expect(await Promise.all([fetchInto('one'), fetchInto('two', 0o700)])).toEqual([true, true]);
  expect(downloads.came.direct).toBe(bytes.length);
  const [one, two] = [await stat(join(folder, 'one')), await stat(join(folder, 'two'))];
  expect(one.ino).not.toBe(two.ino);
  expect((await readFile(join(folder, 'two'))).equals(bytes)).toBe(true);
});

it('leaves to others what is small, and what no peer gives', async () => {
  const { folder, downloads, id, fetchInto } = await newCase();
  expect(await fetchInto('file')).toBe(false);
  const small = { bytes: 10, mode: 0o644 };
  expect(await downloads.fetchInto(id, small, join(folder, 'small'))).toBe(false);
  expect(await namesIn(folder)).toEqual([]);
});

it('goes through the server where peers are not reached, or nobody says who was revoked', async () => {
  const own = { ca: 'none', cert: 'none', key: 'none' };
  const list = () => Promise.reject(new Error('the mesh is away'));
  const asked: string[] = [];
  const sources = sampleBytes(3);
  const source = sourceOf(sources.bytes);
  const relay: ChunkTransport = {
    chunkList: async (peer, artifact) => {
      asked.push(peer);
      const found = await source.chunkList(artifact);
      return found === undefined ? refused({ kind: 'not-here' }) : { ok: true, value: found };
    },
    fetch: async (_, place, into) => {
      into.set((await source.read(place)) ?? []);
      return { ok: true, value: undefined };
    },
  };
  const { folder, mesh, downloads } = await newCase({ own, members: { list }, relay });
  await mesh.add('ann', source, sources.id);
  const file = { bytes: sources.bytes.length, mode: 0o644 };
  expect(await downloads.fetchInto(sources.id, file, join(folder, 'file'))).toBe(true);
  expect(asked).toEqual(['ann']);
  expect(downloads.came.direct).toBe(0);
  expect((await readFile(join(folder, 'file'))).length).toBeGreaterThan(3 * CHUNK_BYTES);
});
