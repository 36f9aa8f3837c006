import {
  type ArtifactId,
  type Offer,
  type OutputEntry,
  ok,
  type RunningContainer,
  refused,
} from '@podmesh/core';
import { freshLane, freshRun, sampleArtifact, sampleOffer } from '@podmesh/testkit';
import { describe, expect, it } from 'vitest';
import { MemoryFiles, newBench } from '../daemon.test-kit.ts';
import type { ImageArchives } from './image-archives.ts';
import { resolveArchive } from './resolve-named-image.ts';
import { storeOutputs } from './store-outputs.ts';

const never = new AbortController().signal;
const archive = sampleArtifact(Buffer.from('an archive')).ref.digest;
const wish = { bring: async () => '/the/archive', progress: () => undefined, signal: never };

/** `asked`: of which archives. */
function newArchives(answers: Partial<ImageArchives>) {
  const asked: ArtifactId[] = [];
  const noted =
    <More extends unknown[], Answer>(work?: (of: ArtifactId, ...more: More) => Answer) =>
    (of: ArtifactId, ...more: More): Answer => {
      asked.push(of);
      if (work === undefined) throw new Error('not asked for');
      return work(of, ...more);
    };
  const { resolve, takeApart } = answers;
  const archives: ImageArchives = { resolve: noted(resolve), takeApart: noted(takeApart) };
  return { archives, asked };
}

describe('an attempt whose image is an archive', () => {
  const { runtime } = newBench();

  it('leaves it to who knows its parts, and loads it where nobody does', async () => {
    const { archives, asked } = newArchives({ resolve: async () => ok('sha256:by its parts') });
    expect(await resolveArchive({ archives, runtime }, archive, wish)).toBe('sha256:by its parts');
    expect(asked).toEqual([archive]);
    const loading = { ...runtime, loadImage: async (path: string) => ok(`loaded ${path}`) };
    expect(await resolveArchive({ runtime: loading as never }, archive, wish)).toBe(
      'loaded /the/archive',
    );
  });

  it.each([
    ['platform', 'image-platform'],
    ['unavailable', 'image-unavailable'],
    ['not-an-image', 'image-unavailable'],
  ] as const)('that is refused as %s fails as %s, in the same words', async (kind, expected) => {
    const message = 'what is wrong with it';
    const { archives } = newArchives({ resolve: async () => refused({ kind, message }) });
    await expect(resolveArchive({ archives, runtime }, archive, wish)).rejects.toMatchObject({
      kind: expected,
      message,
    });
  });
});

describe('an attempt that leaves an image', () => {
  const outputs = {
    image: { kind: 'file', path: '/an image' },
    other: { kind: 'file', path: '/no image' },
  } as const;

  async function* file(text: string): AsyncIterable<OutputEntry> {
    const content = (async function* () {
      yield Buffer.from(text);
    })();
    yield { kind: 'file', path: '', executable: false, content };
  }

  /** Its files hold their own names. */
  const container = {
    readOutput: async ({ path = '' }: { path?: string }) => ok(file(path)),
  } as unknown as RunningContainer;

  async function leave(archives: ImageArchives | undefined, images?: readonly string[]) {
    const offer: Offer = {
      ...sampleOffer(freshRun(), freshLane()),
      outputs,
      ...(images === undefined ? {} : { images }),
    };
    const limits = {} as never;
    const { clock } = newBench().process;
    const files = new MemoryFiles();
    return await storeOutputs(container, { files, clock, limits, offer, stop: never, archives });
  }

  it('has that one taken apart, and no other', async () => {
    const { archives, asked } = newArchives({ takeApart: async () => undefined });
    const { outputs: left } = await leave(archives, ['image']);
    expect(Object.keys(left)).toEqual(['image', 'other']);
    expect(asked).toEqual([left.image?.digest]);
    await leave(archives);
    expect(asked).toHaveLength(1);
    await leave(undefined, ['image']);
  });

  it('has failed where that is none', async () => {
    const { archives } = newArchives({ takeApart: async () => 'the image archive x is cut off' });
    await expect(leave(archives, ['image'])).rejects.toMatchObject({
      kind: 'output-missing',
      message: 'output image is meant as an image, but the image archive x is cut off',
    });
  });
});
