import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type ArtifactId, claimId, type PinReason } from '@podmesh/core';
import { sampleArtifact } from '@podmesh/testkit';
import { describe, expect, it } from 'vitest';
import { ArtifactPins } from './artifact-pins.ts';
import { namesIn, temporaryFolder } from './store.test-kit.ts';

const idOf = (text: string): ArtifactId => sampleArtifact(Buffer.from(text)).ref.digest;
const [a, b] = [idOf('a'), idOf('b')];
const input = (claim: string): PinReason => ({ kind: 'input', claim: claimId(claim) });

async function newPins() {
  const folder = await temporaryFolder();
  const path = join(folder, 'pins.json');
  return { folder, path, pins: new ArtifactPins(path) };
}

describe('pins', () => {
  it('hold until the last reason is gone; the same reason is one', async () => {
    const { pins } = await newPins();
    pins.pin(a, input('c1'));
    pins.pin(a, input('c1'));
    pins.pin(a, { kind: 'transfer' });
    pins.unpin(a, input('c1'));
    expect(pins.reasonsOf(a)).toEqual([{ kind: 'transfer' }]);
    pins.unpin(a, { kind: 'transfer' });
    pins.unpin(a, { kind: 'transfer' });
    expect(pins.isPinned(a)).toBe(false);
  });

  it('are taken back by reason', async () => {
    const { pins } = await newPins();
    for (const artifact of [a, b]) pins.pin(artifact, input('c1'));
    pins.pin(b, input('c2'));
    pins.unpinWhere((reason) => reason.kind === 'input' && reason.claim === 'c1');
    expect([pins.isPinned(a), pins.isPinned(b)]).toEqual([false, true]);
  });

  it('of many together end together, and leave those of one alone', async () => {
    const { pins } = await newPins();
    const both = new Set([a, b]);
    pins.pinSet(both, input('c1'));
    pins.pin(a, input('c2'));
    expect(pins.reasonsOf(a)).toEqual([input('c2'), input('c1')]);
    expect(pins.reasonsOf(b)).toEqual([input('c1')]);
    pins.unpinSet(both);
    expect([pins.isPinned(a), pins.isPinned(b)]).toEqual([true, false]);
    pins.pinSet(both, input('c1'));
    pins.unpinWhere(() => true);
    expect([pins.isPinned(a), pins.isPinned(b)]).toEqual([false, false]);
  });

  it('of people survive a restart, and no others do', async () => {
    const { folder, path, pins } = await newPins();
    pins.pin(a, { kind: 'transfer' });
    await Promise.all([pins.pinForPerson([a]), pins.pinForPerson([b])]);
    await pins.unpinForPerson([b]);
    const next = new ArtifactPins(path);
    await next.load();
    expect(next.reasonsOf(a)).toEqual([{ kind: 'person' }]);
    expect(next.isPinned(b)).toBe(false);
    expect(await namesIn(folder)).toEqual(['pins.json']);
  });

  it('are none at the first start', async () => {
    const { pins } = await newPins();
    await pins.load();
    expect(pins.isPinned(a)).toBe(false);
  });

  it.each(['', 'null', '{"person":"all"}', '{"person":["sha256:short"]}', '{"person":[7]}'])(
    'that cannot be read, %j, are not taken for none',
    async (text) => {
      const { path, pins } = await newPins();
      await writeFile(path, text);
      await expect(pins.load()).rejects.toThrow(/pins\.json.*correct the file or remove it/);
      expect(await readFile(path, 'utf8')).toBe(text);
    },
  );
});
