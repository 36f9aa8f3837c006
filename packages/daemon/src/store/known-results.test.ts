import type { ArtifactStore, ResultCache } from '@podmesh/core';
import { makeTree } from '@podmesh/jetstream';
import { freshAction, inPieces, sampleArtifact, sampleResult } from '@podmesh/testkit';
import { expect, it } from 'vitest';
import { newBench, silent } from '../daemon.test-kit.ts';
import { KnownResults } from './known-results.ts';

function newCase(changes: { results?: ResultCache; artifacts?: ArtifactStore } = {}) {
  const bench = newBench();
  const { results, artifacts } = bench.ports;
  const known = new KnownResults({ results, artifacts, logger: silent, ...changes });
  return { ...bench, known };
}

it('a known result is found, each action once', async () => {
  const { known } = newCase();
  const action = freshAction();
  await known.record(action, sampleResult());
  const found = await known.find([action, action, freshAction()]);
  expect([...found]).toEqual([[action, sampleResult()]]);
});

it('a result whose bytes are gone is a miss, and the others are not', async () => {
  const { known } = newCase();
  const [gone, there] = [freshAction(), freshAction()];
  const lost = sampleArtifact(Buffer.from('lost')).ref;
  await known.record(gone, { ...sampleResult(), outputs: { out1: lost } });
  await known.record(there, sampleResult());
  expect([...(await known.find([gone, there])).keys()]).toEqual([there]);
});

it('a result whose bytes are gone is forgotten, and one whose directory lacks a file as well', async () => {
  const { known, mesh, ports } = newCase();
  const [action, other] = [freshAction(), freshAction()];
  const file = sampleArtifact(Buffer.from('deep in it'));
  const { bytes } = file.ref;
  const { ref: dir, bytes: listing } = makeTree([
    { kind: 'file', path: 'deep', digest: file.ref.digest, bytes, executable: false },
  ]);
  await ports.artifacts.put(file.ref, inPieces(file.bytes));
  await ports.artifacts.put(dir, inPieces(listing));
  await known.record(action, { ...sampleResult(), outputs: { out1: dir } });
  await known.record(other, sampleResult());
  expect((await known.find([action, other])).size).toBe(2);
  mesh.loseArtifact(file.ref.digest);
  expect([...(await known.find([action, other])).keys()]).toEqual([other]);
  expect([...mesh.results.keys()]).toEqual([other]);
});

it.each([{}, { outputs: {} }, 'text', 7, null])(
  'the garbage record %j is a miss',
  async (garbage) => {
    const { known, mesh } = newCase();
    const action = freshAction();
    mesh.results.set(action, garbage as never);
    expect((await known.find([action])).size).toBe(0);
  },
);

it('a cache that is away is a miss, and keeps no result from being published', async () => {
  const away = () => Promise.reject(new Error('away'));
  const { known } = newCase({ results: { lookUp: away, record: away, forget: away } });
  expect((await known.find([freshAction()])).size).toBe(0);
  await known.record(freshAction(), sampleResult());
});
