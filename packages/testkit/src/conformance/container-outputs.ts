import type { OutputEntry, OutputRef, RunningContainer } from '@podmesh/core';
import { expect, it } from 'vitest';
import { ended, startContainer, type UseRuntime } from './container-bench.ts';

const FILE = { kind: 'file', path: '/tmp/result.txt' } as const satisfies OutputRef;
const DIR = { kind: 'dir', path: '/tmp/results' } as const satisfies OutputRef;

/** What a task reads and leaves behind. */
export function outputTests(use: UseRuntime): void {
  files(use);
  directories(use);
  descriptors(use);
}

function files(use: UseRuntime): void {
  it('reads an input and leaves a file', async () => {
    const bench = use();
    const inputs = { 'in-1': await bench.inputFile('some input ✓\n') };
    const command = bench.commands.copies('/in/in-1', FILE.path);
    const { container } = await startContainer(bench, command, { inputs, outputs: { o: FILE } });
    expect((await ended(bench, container)).code).toBe(0);
    const [entry, ...rest] = await entriesOf(container, FILE);
    expect(entry).toMatchObject({ kind: 'file', path: '', text: 'some input ✓\n' });
    expect(rest).toEqual([]);
  });

  it('reads an input where the task wants it', async () => {
    const bench = use();
    const inputs = { model: await bench.inputFile('here\n') };
    const mountAt = { model: '/opt/model/weights' };
    const command = bench.commands.copies('/opt/model/weights', FILE.path);
    const more = { inputs, mountAt, outputs: { o: FILE } };
    const { container } = await startContainer(bench, command, more);
    expect((await ended(bench, container)).code).toBe(0);
    expect(await entriesOf(container, FILE)).toMatchObject([{ kind: 'file', text: 'here\n' }]);
  });

  it('says that an output is missing', async () => {
    const bench = use();
    const outputs = { o: FILE, d: DIR };
    const { container } = await startContainer(bench, bench.commands.exits(0), { outputs });
    await ended(bench, container);
    expect(await container.readOutput(FILE)).toMatchObject({
      ok: false,
      error: { kind: 'missing' },
    });
    expect(await container.readOutput(DIR)).toMatchObject({
      ok: false,
      error: { kind: 'missing' },
    });
  });
}

function directories(use: UseRuntime): void {
  it('leaves a directory, parents before their children', async () => {
    const bench = use();
    const command = bench.commands.fills(DIR.path);
    const { container } = await startContainer(bench, command, { outputs: { d: DIR } });
    await ended(bench, container);
    const entries = await entriesOf(container, DIR);
    expect(Object.fromEntries(entries.map((entry) => [entry.path, entry]))).toEqual({
      'a.txt': { kind: 'file', path: 'a.txt', executable: false, text: 'a\n' },
      sub: { kind: 'dir', path: 'sub' },
      'sub/run': { kind: 'file', path: 'sub/run', executable: true, text: 'run\n' },
      'sub/link': { kind: 'symlink', path: 'sub/link', target: '../a.txt' },
    });
    const paths = entries.map(({ path }) => path);
    expect(paths.indexOf('sub')).toBeLessThan(paths.indexOf('sub/run'));
  });

  it('tells a file from a directory', async () => {
    const bench = use();
    const command = bench.commands.fills(DIR.path);
    const { container } = await startContainer(bench, command, { outputs: { d: DIR } });
    await ended(bench, container);
    const asFile = await container.readOutput({ kind: 'file', path: DIR.path });
    expect(asFile).toMatchObject({ ok: false, error: { kind: 'not-a-file' } });
    const asDir = await container.readOutput({ kind: 'dir', path: `${DIR.path}/a.txt` });
    expect(asDir).toMatchObject({ ok: false, error: { kind: 'not-a-directory' } });
  });
}

function descriptors(use: UseRuntime): void {
  it.each([1, 2, 3])('leaves what was written to file descriptor %i', async (fd) => {
    const bench = use();
    const output: OutputRef = { kind: 'fd', fd };
    const command = bench.commands.writesTo(fd, 'described\n');
    const { container } = await startContainer(bench, command, { outputs: { o: output } });
    expect((await ended(bench, container)).code).toBe(0);
    expect(await entriesOf(container, output)).toMatchObject([
      { kind: 'file', path: '', text: 'described\n' },
    ]);
  });
}

type ReadEntry =
  | { readonly kind: 'file'; readonly path: string; executable: boolean; readonly text: string }
  | Exclude<OutputEntry, { kind: 'file' }>;

async function entriesOf(
  container: RunningContainer,
  output: OutputRef,
): Promise<readonly ReadEntry[]> {
  const read = await container.readOutput(output);
  if (!read.ok) throw new Error(`${read.error.kind}: ${read.error.message}`);
  const entries: ReadEntry[] = [];
  for await (const entry of read.value) {
    if (entry.kind !== 'file') entries.push(entry);
    else {
      const pieces: Uint8Array[] = [];
      for await (const piece of entry.content) pieces.push(Uint8Array.from(piece));
      const { kind, path, executable } = entry;
      entries.push({ kind, path, executable, text: Buffer.concat(pieces).toString() });
    }
  }
  return entries;
}
