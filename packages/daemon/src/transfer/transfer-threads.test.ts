import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type ArtifactId, CHUNK_BYTES, peerId } from '@podmesh/core';
import { type ServedStore, ServeThread, systemClock } from '@podmesh/transfer';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import {
  chunkListOf,
  hexOf,
  idOf,
  MemoryDisk,
  Neighbours,
  sampleBytes,
  sourceOf,
} from '../../../transfer/src/transfer.test-kit.ts';
import { newStore, temporaryFolder } from '../store/store.test-kit.ts';
import { StoreDisk } from '../store/store-disk.ts';

const { signal } = new AbortController();
const MIB = 2 ** 20;

/** A thread's program that ends as if it had a fault when it is told to. */
async function mortal(program: string) {
  const folder = await temporaryFolder();
  const [script, flag] = [join(folder, 'mortal.mjs'), join(folder, 'die')];
  const real = new URL(program, import.meta.url);
  await writeFile(
    script,
    `import { existsSync, unlinkSync } from 'node:fs';
     import ${JSON.stringify(real.href)};
     const look = () => {
       if (!existsSync(${JSON.stringify(flag)})) return;
       unlinkSync(${JSON.stringify(flag)});
       throw new Error('a fault');
     };
     setInterval(look, 5).unref();`,
  );
  return { script: new URL(`file://${script}`), kill: () => writeFile(flag, '') };
}

async function serve(store: ServedStore, script?: URL) {
  const logger = { warn: vi.fn() };
  const thread = new ServeThread({
    peer: peerId('a'),
    key: 'key',
    store,
    host: '127.0.0.1',
    port: 0,
    clock: systemClock,
    logger,
    ...(script === undefined ? {} : { script }),
  });
  onTestFinished(() => thread.stop());
  return { address: await thread.start(), thread, logger };
}

/** A store with this artifact, and its peer. */
async function holder(bytes: Uint8Array, script?: URL) {
  const { store } = await newStore();
  const { digest } = await store.write(pieces(bytes));
  const served = await serve(new StoreDisk(store), script);
  const mesh = new Neighbours();
  mesh.tell('a', served.address);
  mesh.hold('a', digest);
  return { ...served, mesh, digest };
}

async function* pieces(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += MIB) yield bytes.subarray(at, at + MIB);
}

describe('the thread that serves', () => {
  it('gives the whole of what is whole, and checked chunks of what is not', async () => {
    const { bytes, id } = sampleBytes(2);
    const list = chunkListOf(bytes);
    const { store } = await newStore();
    const disk = new StoreDisk(store);
    const { address } = await serve(disk);
    const url = `${address.urls[0]}/v1/artifact/${id.slice('sha256:'.length)}`;
    const get = (range?: string) =>
      fetch(url, {
        headers: { authorization: `Bearer ${address.key}`, ...(range && { range }) },
      });
    expect((await get()).status).toBe(404);
    const partial = await disk.begin(id, list);
    const chunk = (index: number) =>
      new Uint8Array(bytes.subarray(index * CHUNK_BYTES, (index + 1) * CHUNK_BYTES));
    await partial.put(1, chunk(1));
    expect((await get()).status).toBe(404);
    const [first, second] = ['bytes=0-9', `bytes=${CHUNK_BYTES}-${2 * CHUNK_BYTES - 1}`];
    expect((await get(first)).status).toBe(404);
    expect(Buffer.from(await (await get(second)).arrayBuffer()).equals(chunk(1))).toBe(true);
    expect((await get(`bytes=${CHUNK_BYTES}-${2 * CHUNK_BYTES}`)).status).toBe(404);
    for (const index of [0, 2]) await partial.put(index, chunk(index));
    await partial.commit();
    expect(Buffer.from(await (await get()).arrayBuffer()).equals(bytes)).toBe(true);
    await store.remove(id);
    expect((await get()).status).toBe(404);
  });

  it('is replaced under its address when it dies, and a transfer goes on', async () => {
    const { bytes } = sampleBytes(11);
    const { script, kill } = await mortal('../../../transfer/src/serve-worker.js');
    const { mesh, digest, logger } = await holder(bytes, script);
    const disk = new MemoryDisk();
    const begin = disk.begin.bind(disk);
    vi.spyOn(disk, 'begin').mockImplementation(async (...all) => {
      await kill();
      return begin(...all);
    });
    await mesh.transfers(disk).get(digest, { signal });
    expect(disk.hasBytes(digest, bytes)).toBe(true);
    await vi.waitFor(() => expect(logger.warn).toHaveBeenCalledTimes(1), 20_000);
    await vi.waitFor(async () => {
      expect((await mesh.transport().chunkList(peerId('a'), digest, signal)).ok).toBe(true);
    }, 20_000);
  });

  it('that cannot listen says why', async () => {
    const { store } = await newStore();
    const { thread, address } = await serve(new StoreDisk(store));
    const port = Number(new URL(address.urls[0] ?? '').port);
    const parts = { peer: peerId('b'), key: 'key', host: '127.0.0.1', port, clock: systemClock };
    const logger = { warn: vi.fn() };
    const second = new ServeThread({ ...parts, store: new StoreDisk(store), logger });
    await expect(second.start()).rejects.toMatchObject({ code: 'EADDRINUSE' });
    await second.stop();
    await thread.stop();
    await thread.stop();
  });
});

describe('the thread that receives', () => {
  it('is replaced when it dies, and nothing is lost or taken twice', async () => {
    const { bytes, id } = sampleBytes(7);
    const mesh = new Neighbours();
    const { script, kill } = await mortal('../../../transfer/src/receive-worker.js');
    const reads: number[] = [];
    const source = sourceOf(bytes, {
      read: async ({ index, offset, bytes: length }) => {
        reads.push(index);
        if (reads.length === 4) await kill();
        return bytes.slice(offset, offset + length);
      },
    });
    await mesh.add('a', source, id);
    const disk = new MemoryDisk();
    await mesh.transfers(disk, script).get(id, { signal });
    expect(disk.hasBytes(id, bytes)).toBe(true);
    expect([...disk.puts].sort()).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
  });

  it('that dies at once is a source that failed, with its reason', async () => {
    const { bytes, id } = sampleBytes(0);
    const mesh = new Neighbours();
    await mesh.add('a', sourceOf(bytes), id);
    const folder = await temporaryFolder();
    await writeFile(join(folder, 'broken.mjs'), 'throw new Error("broken")');
    const transport = mesh.transport(new URL(`file://${folder}/broken.mjs`));
    const listed = await transport.chunkList(peerId('a'), id, signal);
    expect(listed).toMatchObject({ ok: false, error: { kind: 'short' } });
    expect(listed.ok ? '' : JSON.stringify(listed.error)).toContain('thread that receives');
  });
});

it('leaves no file or connection open after a thousand transfers', async () => {
  const all = new Map<ArtifactId, Buffer>();
  for (let at = 0; at < 1_000; at += 1) {
    const bytes = Buffer.from(`artifact ${at}`);
    all.set(idOf(bytes), bytes);
  }
  const mesh = new Neighbours();
  await mesh.add('a', {
    chunkList: async (artifact) => {
      const bytes = all.get(artifact);
      return bytes && { bytes: bytes.length, digests: [hexOf(bytes)] };
    },
    read: async ({ artifact }) => all.get(artifact),
  });
  const { store } = await newStore();
  const transfers = mesh.transfers(new StoreDisk(store));
  const wanted = [...all.keys()];
  for (const id of wanted) mesh.hold('a', id);
  const openFiles = async () => (await readdir('/proc/self/fd')).length;
  const get = async (ids: readonly ArtifactId[]) => {
    for (const id of ids) await transfers.get(id, { signal });
  };
  const inFour = (ids: readonly ArtifactId[]) =>
    Promise.all([0, 1, 2, 3].map((at) => get(ids.filter((_, place) => place % 4 === at))));
  await inFour(wanted.slice(0, 20));
  const before = await openFiles();
  await inFour(wanted.slice(20));
  expect((await openFiles()) - before).toBeLessThan(10);
  expect(transfers.underWay).toEqual([]);
  expect([...store.index.wholes()]).toHaveLength(wanted.length);
}, 120_000);

it('needs no more memory for what is larger', async () => {
  const bytes = 384 * MIB;
  const made = await newStore();
  const piece = Buffer.alloc(MIB, 7);
  async function* zeros(): AsyncGenerator<Uint8Array> {
    for (let at = 0; at < bytes; at += MIB) yield piece;
  }
  const { digest } = await made.store.write(zeros());
  const { address } = await serve(new StoreDisk(made.store));
  const mesh = new Neighbours();
  mesh.tell('a', address);
  mesh.hold('a', digest);
  const { store } = await newStore();
  const before = process.memoryUsage.rss();
  let most = before;
  const put = store.chunks.put.bind(store.chunks);
  vi.spyOn(store.chunks, 'put').mockImplementation((...all) => {
    most = Math.max(most, process.memoryUsage.rss());
    return put(...all);
  });
  await mesh.transfers(new StoreDisk(store)).get(digest, { signal });
  expect((most - before) / MIB).toBeLessThan(128);
  expect(store.index.whole(digest)?.bytes).toBe(bytes);
}, 120_000);
