import { execFileSync } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { SCRATCH_BATCH, STOCK_MAX } from './crun-limits.ts';
import { type Scratch, ScratchStock } from './scratch-stock.ts';
import type { Sweeper } from './sweeper.ts';

const HOSTS = '127.0.0.1 localhost\n';
const NEEDS = {
  rootMode: 0o755,
  files: [
    { name: 'file-0', content: Buffer.from(HOSTS) },
    { name: 'file-1', content: Buffer.from('name\n') },
  ],
};

/** Runs what it is told to, as busybox runs its applets. */
const WORKING = 'exec "$@"';

async function newStock(busyboxScript = WORKING) {
  const directory = await mkdtemp(join(tmpdir(), 'podmesh-stock-'));
  onTestFinished(() => rm(directory, { recursive: true, force: true }));
  const places = { scratch: join(directory, 'scratch'), files: join(directory, 'files') };
  for (const place of Object.values(places)) await mkdir(place);
  const busybox = join(directory, 'busybox');
  await writeFile(busybox, `#!/bin/sh\n${busyboxScript}\n`, { mode: 0o755 });
  const discarded: string[] = [];
  const sweeper = {
    discard: async (place: string) => {
      discarded.push(place);
      await rm(place, { recursive: true, force: true });
    },
  } as unknown as Sweeper;
  const stock = new ScratchStock(places, busybox, sweeper);
  onTestFinished(() => stock.stop());
  await stock.start(new Set());
  return { stock, places, discarded };
}

/** So many that all that were made with the first are among them, and what was given back. */
async function takeMany(stock: ScratchStock, needs: typeof NEEDS = NEEDS): Promise<Set<string>> {
  const taken = new Set<string>();
  for (let i = 0; i < SCRATCH_BATCH; i += 1) {
    const { layer, files } = await stock.take(needs);
    for (const { directory } of [layer, files]) {
      expect(taken.has(directory), directory).toBe(false);
      taken.add(directory);
    }
  }
  return taken;
}

/** What becomes of a scratch directory, after something was done to it. */
async function afterwards(change: (scratch: Scratch) => Promise<void>) {
  const { stock, discarded } = await newStock();
  const scratch = await stock.take(NEEDS);
  await change(scratch);
  await stock.giveBack(scratch, NEEDS);
  const taken = await takeMany(stock);
  const fate = ({ directory }: { directory: string }) => {
    expect(discarded.includes(directory)).toBe(!taken.has(directory));
    return taken.has(directory) ? 'reused' : 'deleted';
  };
  return { layer: fate(scratch.layer), files: fate(scratch.files) };
}

const upperOf = ({ layer }: Scratch) => join(layer.directory, 'upper');
const hostsOf = ({ files }: Scratch) => join(files.directory, 'file-0');

describe('what a container gets on the disk', () => {
  it('is as Podman would make it', async () => {
    const { stock, places } = await newStock();
    const scratch = await stock.take({ ...NEEDS, rootMode: 0o1711 });
    expect((await readdir(scratch.layer.directory)).sort()).toEqual(['upper', 'work']);
    expect((await stat(upperOf(scratch))).mode & 0o7777).toBe(0o1711);
    expect(await readFile(hostsOf(scratch), 'utf8')).toBe(HOSTS);
    expect((await stat(hostsOf(scratch))).mode & 0o7777).toBe(0o644);
    expect(join(scratch.layer.directory, '..')).toBe(places.scratch);
    expect(join(scratch.files.directory, '..')).toBe(places.files);
  });

  it('is not the same for two that live at the same time', async () => {
    const { stock } = await newStock();
    const taken = await Promise.all(Array.from({ length: 150 }, () => stock.take(NEEDS)));
    const directories = taken.flatMap(({ layer, files }) => [layer.directory, files.directory]);
    expect(new Set(directories).size).toBe(300);
  });
});

describe('what a container leaves on the disk', () => {
  it('is for another one when it was only read', async () => {
    const fate = await afterwards(async (scratch) => {
      await readFile(hostsOf(scratch));
      await readdir(upperOf(scratch));
      // As overlayfs does at every mount.
      await mkdir(join(scratch.layer.directory, 'work/work'));
    });
    expect(fate).toEqual({ layer: 'reused', files: 'reused' });
  });

  it.each<readonly [string, (scratch: Scratch) => Promise<void>]>([
    [
      'a file was made and removed',
      async (scratch) => {
        await writeFile(join(upperOf(scratch), 'x'), '');
        await rm(join(upperOf(scratch), 'x'));
      },
    ],
    ['the mode of / was set, even to what it was', (scratch) => chmod(upperOf(scratch), 0o755)],
    ['an output lies beside it', (scratch) => mkdir(join(scratch.layer.directory, 'fd'))],
    ['it is gone', (scratch) => rm(upperOf(scratch), { recursive: true })],
  ])('is deleted when %s', async (_, change) => {
    expect(await afterwards(change)).toEqual({ layer: 'deleted', files: 'reused' });
  });

  it('is deleted when the bytes of a small file are others, whatever the stamps say', async () => {
    const fate = await afterwards(async (scratch) => {
      const { files } = scratch;
      await writeFile(hostsOf(scratch), HOSTS.replace('127', '666'));
      // As a write through a mapping leaves them in memory: the stamps of a file that nobody changed.
      const stamps = files.parts.map((part) => statSync(part, { bigint: true }).ctimeNs);
      Object.assign(files, { stamps });
    });
    expect(fate).toEqual({ layer: 'reused', files: 'deleted' });
  });

  it.each<readonly [string, (scratch: Scratch) => Promise<void>]>([
    ['written again with the same content', (scratch) => writeFile(hostsOf(scratch), HOSTS)],
    ['made unreadable', (scratch) => chmod(hostsOf(scratch), 0)],
    ['removed', (scratch) => rm(hostsOf(scratch))],
  ])('is deleted when one of the small files was %s', async (_, change) => {
    expect(await afterwards(change)).toEqual({ layer: 'reused', files: 'deleted' });
  });

  it('is deleted when a change was undone by setting the times back', async () => {
    const fate = await afterwards(async (scratch) => {
      const file = hostsOf(scratch);
      execFileSync('sh', [
        '-c',
        'touch -r "$1" "$1.t"; echo >>"$1"; touch -r "$1.t" "$1"',
        'sh',
        file,
      ]);
    });
    expect(fate.files).toBe('deleted');
  });

  it('is not for one with another root directory or other files', async () => {
    const { stock } = await newStock();
    const scratch = await stock.take(NEEDS);
    await stock.giveBack(scratch, NEEDS);
    const files = [{ name: 'file-0', content: Buffer.from('127.0.0.1 other\n') }];
    const others = await takeMany(stock, { rootMode: 0o700, files });
    expect(others.has(scratch.layer.directory)).toBe(false);
    expect(others.has(scratch.files.directory)).toBe(false);
    // The same files of a recipe that was taken again.
    const again = { rootMode: 0o755, files: NEEDS.files.map((file) => ({ ...file })) };
    const same = await takeMany(stock, again);
    expect(same.has(scratch.layer.directory)).toBe(true);
    expect(same.has(scratch.files.directory)).toBe(true);
  });

  it('is kept for so many containers only, and deleted beyond', async () => {
    const { stock, places } = await newStock();
    const taken: Scratch[] = [];
    for (let i = 0; i < STOCK_MAX + 2 * SCRATCH_BATCH; i += 1) taken.push(await stock.take(NEEDS));
    await stock.stop();
    for (const scratch of taken) await stock.giveBack(scratch, NEEDS);
    expect(await readdir(places.scratch)).toHaveLength(STOCK_MAX);
    expect(await readdir(places.files)).toHaveLength(STOCK_MAX);
  });

  it('stays at the start of a daemon only where a container uses it', async () => {
    const { stock, places, discarded } = await newStock();
    const inUse = [join(places.scratch, 'a'), join(places.files, 'a')];
    const others = [join(places.scratch, 'b'), join(places.files, 'c')];
    for (const place of [...inUse, ...others]) await mkdir(place);
    await stock.start(new Set(inUse));
    expect(discarded.sort()).toEqual(others.sort());
    for (const place of inUse) expect(existsSync(place)).toBe(true);
  });
});

describe('a stock that is stopped', () => {
  it('makes nothing behind the back of who deletes what is there', async () => {
    const { stock, places } = await newStock(`sleep 0.1; ${WORKING}`);
    for (const _ of Array(SCRATCH_BATCH)) await stock.take(NEEDS);
    await stock.stop();
    const before = await readdir(places.scratch);
    expect(before).toHaveLength(2 * SCRATCH_BATCH);
    await expect(stock.take(NEEDS)).rejects.toThrow('closed');
    await stock.stop();
    expect(await readdir(places.scratch)).toEqual(before);
  });
});

describe('a disk that is full', () => {
  it.each([
    ['echo "mkdir: x: No space left on device" >&2; exit 1', 'ENOSPC'],
    ['echo "mkdir: x: Permission denied" >&2; exit 1', undefined],
  ])('is told from other failures: %s', async (script, code) => {
    const { stock, discarded } = await newStock(script);
    const error = await stock.take(NEEDS).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ name: 'CrunFailedError', retryable: true });
    expect((error as { code?: unknown }).code).toBe(code);
    // Also what was made of them before.
    expect(discarded).toHaveLength(SCRATCH_BATCH);
  });

  it('is no reason to refuse when there is room again', async () => {
    const { stock, places } = await newStock(
      `[ -e "\${0%/*}/full" ] || { : >"\${0%/*}/full"; echo "No space left on device" >&2; exit 1; }\n${WORKING}`,
    );
    await expect(stock.take(NEEDS)).rejects.toMatchObject({ code: 'ENOSPC' });
    const { layer } = await stock.take(NEEDS);
    expect(await readdir(places.scratch)).toContain(basename(layer.directory));
  });

  it('keeps the code of a file that could not be written', async () => {
    const { stock, places } = await newStock();
    await rm(places.files, { recursive: true });
    const error = await stock.take(NEEDS).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ name: 'CrunFailedError', code: 'ENOENT' });
    // The layer that was there is for whoever comes when there is room.
    const layers = new Set(await readdir(places.scratch));
    for (let i = 1; i < SCRATCH_BATCH; i += 1) await stock.take(NEEDS).catch(() => undefined);
    await mkdir(places.files);
    const { layer } = await stock.take(NEEDS);
    expect(layers.has(basename(layer.directory))).toBe(true);
  });
});
