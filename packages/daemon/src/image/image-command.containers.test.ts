import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ImageLine, runImageOrder } from './image-command.ts';
import type { ImageAction } from './image-order.ts';

const NAME = 'localhost/podmesh-test/errand:1';
const never = new AbortController().signal;
let directory: string;
let built = '';

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'podmesh-errand-'));
  await writeFile(join(directory, 'Containerfile'), 'FROM scratch\nCOPY Containerfile /x\n');
});
afterAll(async () => {
  await promisify(execFile)('podman', ['rmi', '--force', NAME]);
  await rm(directory, { recursive: true, force: true });
});

async function run(action: ImageAction): Promise<{ lines: readonly ImageLine[]; shown: string }> {
  const lines: ImageLine[] = [];
  let shown = '';
  const voice = {
    tell: (line: ImageLine) => lines.push(line),
    show: (bytes: Uint8Array) => {
      shown += Buffer.from(bytes).toString('utf8');
    },
  };
  const order = { ...action, home: join(directory, 'home'), allowRoot: false };
  await runImageOrder(order, process.env, voice, never);
  return { lines, shown };
}

describe('an image errand', () => {
  it('builds, shows what the build says and tells id and whole name', async () => {
    const { lines, shown } = await run({
      action: 'build',
      directory,
      tag: 'podmesh-test/errand:1',
    });
    expect(lines).toEqual([
      { kind: 'built', image: expect.stringMatching(/^sha256:/), name: NAME },
    ]);
    expect(shown).toContain('COPY Containerfile');
    if (lines[0]?.kind === 'built') built = lines[0].image;
  }, 60_000);

  it('lists what is here, without a daemon', async () => {
    const { lines } = await run({ action: 'ls' });
    const ours = lines.find((line) => line.kind === 'image' && line.image === built);
    expect(ours).toMatchObject({ references: expect.arrayContaining([NAME]) });
  }, 60_000);

  it('resolves what is here and says of the rest why not', async () => {
    const references = [NAME, 'localhost/podmesh-test/nobody:1'];
    const { lines } = await run({ action: 'resolve', references, pull: true });
    expect(lines).toMatchObject([
      { kind: 'resolved', reference: NAME, image: built, arch: expect.any(String) },
      { kind: 'unresolved', reference: references[1], problem: 'unavailable' },
    ]);
  }, 60_000);

  it('fails where a build fails', async () => {
    const order = { action: 'build', directory, tag: NAME, file: join(directory, 'none') } as const;
    await expect(run(order)).rejects.toThrow('no image was built');
  }, 60_000);
});
