import { createHash } from 'node:crypto';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CHUNK_BYTES, type Tree } from '@podmesh/core';
import { inPieces } from '@podmesh/testkit';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { DiskFullError } from './disk-full-error.ts';
import { DiskStore } from './disk-store.ts';
import { smallDisk } from './small-disk.test-kit.ts';
import { chunkedArtifact, namesIn, newStore, ROOMY, someBytes } from './store.test-kit.ts';
import { StoreDisk } from './store-disk.ts';
import { buildTreeFolder } from './tree-folder.ts';

/** What fails for want of room from now on, and where. */
const armed = vi.hoisted(() => ({ call: '', path: /^$/, code: 'ENOSPC' }));

/** Throws where that is armed. */
const check = vi.hoisted(() => (call: string, path: unknown): void => {
  if (call !== armed.call || !armed.path.test(String(path))) return;
  throw Object.assign(new Error(`${armed.code}: no room, ${call}`), { code: armed.code });
});

vi.mock('node:fs', async (importOriginal) => {
  const real = await importOriginal<typeof import('node:fs')>();
  const renameSync: typeof real.renameSync = (from, to) => {
    check('renameSync', to);
    real.renameSync(from, to);
  };
  return { ...real, renameSync };
});

vi.mock('node:fs/promises', async (importOriginal) => {
  const real = await importOriginal<typeof import('node:fs/promises')>();
  const failing =
    (call: 'rename' | 'mkdir' | 'link' | 'copyFile' | 'chmod' | 'symlink') =>
    async (first: string, second: never, ...more: never[]) => {
      check(call, typeof second === 'string' ? second : first);
      return await (real[call] as (...all: unknown[]) => Promise<unknown>)(first, second, ...more);
    };
  const open: typeof real.open = async (path, ...more) => {
    check('open', path);
    const file = await real.open(path, ...more);
    for (const call of ['writeFile', 'sync', 'truncate'] as const) {
      const method = file[call].bind(file) as (...all: unknown[]) => Promise<void>;
      Object.assign(file, {
        [call]: async (...all: unknown[]) => {
          check(call, path);
          await method(...all);
        },
      });
    }
    return file;
  };
  return {
    ...real,
    open,
    rename: failing('rename'),
    mkdir: failing('mkdir'),
    link: failing('link'),
    copyFile: failing('copyFile'),
    chmod: failing('chmod'),
    symlink: failing('symlink'),
  };
});

function arm(call: string, path: RegExp, code = 'ENOSPC'): void {
  Object.assign(armed, { call, path, code });
  onTestFinished(disarm);
}

function disarm(): void {
  armed.call = '';
}

const LARGE = chunkedArtifact(someBytes(CHUNK_BYTES + 5));
const { digest } = LARGE;

/** Nothing is left of it, and it can be done as soon as there is room again. */
async function expectNothingOf(root: string, store: DiskStore): Promise<void> {
  const { partials, temporary, files, chunkLists, executables } = store.places;
  const shards = [files, chunkLists, executables].map((path) => join(path, digest.slice(7, 9)));
  for (const folder of [partials, temporary, ...shards]) expect(await namesIn(folder)).toEqual([]);
  expect(await namesIn(join(root, 'trees'))).toEqual([]);
  expect(store.budget.reservedBytes).toBe(0);
  expect(store.index.holds([digest])).toEqual([]);
}

describe('a disk that is full', () => {
  it.each([
    ['open', /temporary/],
    ['writeFile', /temporary/],
    ['sync', /temporary/],
    ['chmod', /temporary/],
    ['mkdir', /sha256/],
    ['mkdir', /chunks/],
    ['rename', /chunks/],
    ['rename', /sha256/],
  ])('leaves nothing of a stream when %s fails at %s', async (call, path) => {
    const { root, store } = await newStore();
    for (const code of ['ENOSPC', 'EDQUOT']) {
      arm(call, path, code);
      const refused = store.write(inPieces(LARGE.bytes));
      await expect(refused).rejects.toBeInstanceOf(DiskFullError);
      await expect(refused).rejects.toMatchObject({ code, path: root });
      await expectNothingOf(root, store);
    }
    disarm();
    await store.write(inPieces(LARGE.bytes));
    expect(store.index.holds([digest])).toMatchObject([{ whole: true }]);
  });

  it.each([
    ['mkdir', /partial/],
    ['truncate', /partial/],
    ['sync', /partial/],
    ['rename', /chunks/],
    ['rename', /sha256/],
  ])('leaves nothing of a transfer when %s fails at %s', async (call, path) => {
    const { root, store } = await newStore();
    const disk = new StoreDisk(store);
    const transfer = async () => {
      const partial = await disk.begin(digest, LARGE.list);
      try {
        for (const [index, chunk] of LARGE.chunks.entries()) {
          await partial.put(index, new Uint8Array(chunk));
        }
        await partial.commit();
      } finally {
        await partial.close();
      }
    };
    arm(call, path);
    await expect(transfer()).rejects.toBeInstanceOf(DiskFullError);
    await expectNothingOf(root, store);
    disarm();
    await transfer();
    expect(store.index.holds([digest])).toMatchObject([{ whole: true }]);
  });

  it.each(['copyFile', 'sync', 'rename', 'chmod'])(
    'leaves nothing of an executable when %s fails',
    async (call) => {
      const { root, store } = await newStore();
      await store.write(inPieces(LARGE.bytes));
      arm(call, /temporary|executable/);
      await expect(store.executablePath(digest)).rejects.toBeInstanceOf(DiskFullError);
      expect(await namesIn(join(root, 'temporary'))).toEqual([]);
      disarm();
      await store.executablePath(digest);
    },
  );

  it.each(['mkdir', 'link', 'symlink', 'renameSync'])(
    'leaves nothing of a folder when %s fails',
    async (call) => {
      const { root, store } = await newStore();
      await store.write(inPieces(LARGE.bytes));
      const bytes = LARGE.bytes.length;
      const tree: Tree = {
        podmeshTree: 1,
        entries: [
          { kind: 'file', path: 'folder/file', digest, bytes, executable: false },
          { kind: 'symlink', path: 'link', target: 'folder/file' },
        ],
      };
      const source = { store, readTree: async () => tree, fetch: async () => undefined };
      const folder = join(root, 'trees', 'folder');
      arm(call, /temporary|trees|^folder/);
      await expect(buildTreeFolder(source, digest, folder)).rejects.toBeInstanceOf(DiskFullError);
      expect(await namesIn(join(root, 'temporary'))).toEqual([]);
      expect(await namesIn(join(root, 'trees'))).toEqual([]);
      disarm();
      await buildTreeFolder(source, digest, folder);
      expect(await namesIn(folder)).toEqual(['folder', 'link']);
    },
  );

  it('leaves nothing of a file that it adopts', async () => {
    const { root, store } = await newStore();
    const path = store.temporaryPath();
    await writeFile(path, LARGE.bytes);
    arm('rename', /sha256/);
    const adopted = store.adopt(path, createHash('sha256').update(LARGE.bytes), LARGE.bytes.length);
    await expect(adopted).rejects.toBeInstanceOf(DiskFullError);
    await expectNothingOf(root, store);
  });

  it('is no reason not to tell a chunk list', async () => {
    const { store, next } = await newStore();
    const path = store.temporaryPath();
    await writeFile(path, LARGE.bytes);
    await store.adopt(path, createHash('sha256').update(LARGE.bytes), LARGE.bytes.length);
    arm('writeFile', /temporary/);
    expect(await (await next()).chunkList(digest)).toEqual(LARGE.list);
  });
});

/** Six MiB, if this machine lets us make one. */
const small = smallDisk(6 * 2 ** 20);

describe.runIf(small !== undefined)('a small disk', () => {
  async function storeOn(disk: NonNullable<typeof small>) {
    const root = await disk.newFolder();
    onTestFinished(() => rm(root, { recursive: true, force: true }));
    // Nothing is refused in advance: the disk itself is to say no.
    const measure = async () => ({ totalBytes: 2 ** 40, freeBytes: 2 ** 40 });
    const store = new DiskStore(root, { limits: ROOMY, measure });
    onTestFinished(() => store.stop());
    await store.prepare();
    return { root, store };
  }

  it('takes what fits, and leaves nothing of what does not', async () => {
    if (small === undefined) return;
    const { root, store } = await storeOn(small);
    const tooLarge = store.write(inPieces(someBytes(7 * 2 ** 20)));
    await expect(tooLarge).rejects.toBeInstanceOf(DiskFullError);
    await expectNothingOf(root, store);
    await store.write(inPieces(LARGE.bytes));
    expect(store.index.holds([digest])).toMatchObject([{ whole: true }]);
  });

  it('leaves nothing of a transfer that it has no room for', async () => {
    if (small === undefined) return;
    const { root, store } = await storeOn(small);
    const two = chunkedArtifact(someBytes(2 * CHUNK_BYTES));
    const partial = await new StoreDisk(store).begin(two.digest, two.list);
    expect(await partial.put(1, new Uint8Array(two.chunks[1] ?? []))).toBe('here');
    const refused = partial.put(0, new Uint8Array(two.chunks[0] ?? []));
    await expect(refused).rejects.toMatchObject({ name: 'DiskFullError', code: 'ENOSPC' });
    await partial.close();
    await expectNothingOf(root, store);
    expect(store.index.storeBytes()).toBe(0);
  });
});
