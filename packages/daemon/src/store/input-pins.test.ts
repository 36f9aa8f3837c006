import { join } from 'node:path';
import { artifactId, claimId } from '@podmesh/core';
import { describe, expect, it } from 'vitest';
import { ArtifactPins } from './artifact-pins.ts';
import { InputPins } from './input-pins.ts';
import { temporaryFolder } from './store.test-kit.ts';

const [listing, file, other] = ['a', 'b', 'c'].map((letter) =>
  artifactId(`sha256:${letter.repeat(64)}`),
) as [ReturnType<typeof artifactId>, ReturnType<typeof artifactId>, ReturnType<typeof artifactId>];
const [first, second] = [claimId('first'), claimId('second')];

async function newPins() {
  const pins = new ArtifactPins(join(await temporaryFolder(), 'pins.json'));
  const inputs = new InputPins(pins);
  const pinned = () => [listing, file, other].filter((artifact) => pins.isPinned(artifact));
  return { inputs, pinned };
}

describe('inputs', () => {
  it('stay for as long as one of their attempts is not settled', async () => {
    const { inputs, pinned } = await newPins();
    inputs.pin(first, file);
    inputs.pin(first, file);
    inputs.pin(second, file);
    inputs.pin(second, other);
    inputs.release(first);
    expect(pinned()).toEqual([file, other]);
    inputs.release(second);
    inputs.release(second);
    expect(pinned()).toEqual([]);
  });

  it('that are a directory keep its files until the last who reads it, and read its listing once', async () => {
    const { inputs, pinned } = await newPins();
    let reads = 0;
    const members = async () => {
      reads += 1;
      return [file, other];
    };
    await inputs.pinDirectory(first, listing, members);
    await inputs.pinDirectory(second, listing, members);
    // The same file as an input of its own goes its own way.
    inputs.pin(first, file);
    inputs.release(first);
    expect(pinned()).toEqual([listing, file, other]);
    inputs.release(second);
    expect(pinned()).toEqual([]);
    expect(reads).toBe(1);
    await inputs.pinDirectory(first, listing, members);
    expect(pinned()).toEqual([listing, file, other]);
    expect(reads).toBe(2);
  });

  it('that are given up while a directory is read leave no pin behind', async () => {
    const { inputs, pinned } = await newPins();
    let read: (members: readonly [typeof file]) => void = () => undefined;
    const pinning = inputs.pinDirectory(
      first,
      listing,
      () =>
        new Promise((resolve) => {
          read = resolve;
        }),
    );
    expect(pinned()).toEqual([listing]);
    inputs.release(first);
    read([file]);
    await pinning;
    expect(pinned()).toEqual([]);
  });

  it('of which a listing cannot be read are read again the next time', async () => {
    const { inputs, pinned } = await newPins();
    const broken = inputs.pinDirectory(first, listing, () => Promise.reject(new Error('away')));
    await expect(broken).rejects.toThrow('away');
    await inputs.pinDirectory(first, listing, async () => [file]);
    expect(pinned()).toEqual([listing, file]);
  });
});
