import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ContainerSpec, claimId, type PeerId, peerId, runId, taskId } from '@podmesh/core';
import { expect, it, onTestFinished } from 'vitest';
import { type AttemptsLane, CrunAttempts } from './crun-attempts.ts';
import type { Recipe } from './recipe.ts';

const peer = peerId('p');
const spec: ContainerSpec = {
  labels: { run: runId('abcdefghij12'), task: taskId('t'), attempt: 1, peer, claim: claimId('c') },
  image: 'sha256:1',
  env: {},
  inputs: {},
  outputs: {},
  net: false,
  requirements: { cpus: 0, memoryBytes: 0, diskBytes: 0, gpus: 0, labels: [] },
  scratchDir: '/',
};
const recipe = {
  image: 'sha256:1',
  config: { process: { args: [], env: [] }, mounts: [], linux: {} },
  inputMount: { destination: '/probe' },
  fileMounts: [],
  files: [],
  command: ['/bin/own'],
  layers: { home: '/storage', lower: 'l/A' },
  rootMode: 0o755,
} as unknown as Recipe;

/** Of a lane only what attempts touch; `broken` names the stock that has run out. */
async function newCase(broken?: 'scratch' | 'fifos') {
  const directory = await mkdtemp(join(tmpdir(), 'podmesh-attempts-'));
  onTestFinished(() => rm(directory, { recursive: true, force: true }));
  const given: string[] = [];
  const discarded: string[] = [];
  const out = new Error('no space left on device');
  const layer = { directory: join(directory, 'layer'), parts: [], stamps: [], contents: [] };
  const files = { ...layer, directory: join(directory, 'copies') };
  for (const place of [layer, files]) await mkdir(place.directory);
  const state = { broken };
  const lane = {
    kitchen: { merged: '/m' },
    places: { attemptsOf: (of: PeerId) => join(directory, 'attempts', of) },
    scratch: {
      take: async () => {
        if (state.broken === 'scratch') throw out;
        return { layer, files };
      },
      giveBack: async () => void given.push('both'),
    },
    fifos: {
      take: async (count: number) => {
        if (state.broken === 'fifos') throw out;
        const paths = Array.from({ length: count }, (_, i) => join(directory, `fifo-${i}`));
        for (const path of paths) await writeFile(path, '');
        return paths;
      },
    },
    sweeper: { discard: async (place: string) => void discarded.push(place) },
    book: { done: () => undefined },
    cgroupHome: async () => undefined,
  } as unknown as AttemptsLane;
  const attempts = new CrunAttempts(lane);
  const make = () => attempts.make(attempts.filesOf(spec), recipe, spec, undefined);
  const left = () => readdir(join(directory, 'attempts', peer)).catch(() => []);
  return { attempts, make, left, given, discarded, state, places: [layer, files] };
}

it.each(['scratch', 'fifos'] as const)(
  'a second try of an attempt leaves the first whole, even where it runs out of %s',
  async (broken) => {
    const { attempts, make, given, discarded, state } = await newCase();
    await make();
    state.broken = broken;
    await expect(make()).rejects.toThrow();
    expect(attempts.filesOf(spec).isWhole()).toBe(true);
    expect(discarded).toEqual([]);
    expect(given).toEqual(broken === 'scratch' ? [] : ['both']);
  },
);

it('an attempt that gets no FIFOs leaves nothing, and what it had is not used again', async () => {
  const { make, left, given, discarded, places } = await newCase('fifos');
  await expect(make()).rejects.toThrow('no space left');
  expect(await left()).toEqual([]);
  expect(given).toEqual([]);
  expect(discarded).toEqual(places.map(({ directory }) => directory));
});

it('an attempt whose directory cannot be filled leaves none, and gives back what it had', async () => {
  const { attempts, make, given, discarded } = await newCase();
  const files = attempts.filesOf(spec);
  // As a full memory does: the directory can be made, and nothing written into it.
  const circular: { mounts: unknown[] } = { mounts: [] };
  circular.mounts.push(circular);
  Object.assign(recipe.config, { hooks: circular });
  onTestFinished(() => void Reflect.deleteProperty(recipe.config, 'hooks'));
  await expect(make()).rejects.toThrow('circular');
  expect(existsSync(files.directory)).toBe(false);
  expect([given, discarded]).toEqual([['both'], []]);
});
