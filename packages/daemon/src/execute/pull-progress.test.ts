import { type ContainerRuntime, type LogChunk, ok, pinGraph, refused } from '@podmesh/core';
import { sampleResult } from '@podmesh/testkit';
import { expect, it } from 'vitest';
import {
  CAPACITY,
  eventsOf,
  graphOf,
  newBench,
  peerParts,
  publishGraph,
  settled,
} from '../daemon.test-kit.ts';
import { Peer } from '../peer.ts';

const FAR = 'registry.example/far:1';
const IMAGE = `sha256:${'a'.repeat(64)}`;

/** A peer whose store is empty and whose registry has one image. */
function newCase() {
  const bench = newBench(() => ({ kind: 'runs', durationMs: 100, stdout: 'hello\n' }));
  const real = bench.runtime;
  const store = new Set<string>();
  const pulls: string[] = [];
  const runtime: ContainerRuntime = {
    describe: () => real.describe(),
    images: () => real.images(),
    loadImage: (path, signal) => real.loadImage(path, signal),
    leftovers: (peer) => real.leftovers(peer),
    start: (spec, log, signal) => real.start(spec, log, signal),
    probe: (peer, signal) => real.probe(peer, signal),
    resolveImage: async (reference, pull) => {
      if (store.has(reference)) return ok(IMAGE);
      if (pull === false) return refused({ kind: 'unavailable', message: 'not here' });
      pulls.push(reference);
      pull(`pulling ${reference}`);
      pull(`pulling ${reference}: 1.0 of 2.0 MiB`);
      store.add(reference);
      return ok(IMAGE);
    },
  };
  const chunks: LogChunk[] = [];
  const parts = peerParts(bench, 'p');
  const liveLog = { ...parts.liveLog, write: (chunk: LogChunk) => void chunks.push(chunk) };
  const peer = new Peer({ ...parts, runtime, liveLog }, CAPACITY);
  return { ...bench, parts, peer, chunks, pulls };
}

it('the pull of an image is told in the live log of its attempt, and not in the stored one', async () => {
  const { peer, mesh, clock, chunks } = newCase();
  const run = publishGraph(mesh, graphOf({ id: 'a', container: FAR }));
  mesh.drives.publish(run);
  await settled(clock, peer.start());
  await clock.advance(30_000);
  const said = chunks.map(({ bytes }) => Buffer.from(bytes).toString('utf8'));
  expect(said).toEqual([
    `podmesh: pulling ${FAR}\n`,
    `podmesh: pulling ${FAR}: 1.0 of 2.0 MiB\n`,
    'hello\n',
  ]);
  const kinds = eventsOf(mesh, run).map(({ kind }) => kind);
  expect(kinds.indexOf('attempt-started')).toBeLessThan(kinds.indexOf('attempt-succeeded'));
  const succeeded = eventsOf(mesh, run).find((event) => event.kind === 'attempt-succeeded');
  expect(succeeded).toMatchObject({ result: { image: IMAGE, log: { bytes: 'hello\n'.length } } });
  await settled(clock, peer.stop());
});

it('a pinned image is not even pulled for a result that is in the cache', async () => {
  const { peer, mesh, clock, pulls } = newCase();
  const job = { id: 'a', container: FAR };
  await settled(clock, peer.start());
  const first = publishGraph(mesh, graphOf(job));
  mesh.drives.publish(first);
  await clock.advance(30_000);
  const done = eventsOf(mesh, first).find((event) => event.kind === 'attempt-succeeded');
  if (done?.kind !== 'attempt-succeeded') throw new Error('the first run did not succeed');
  expect(pulls).toEqual([FAR]);
  await settled(clock, peer.stop());

  const other = newCase();
  const pins = new Map([[FAR, { amd64: IMAGE }]]);
  await other.parts.results.record(done.action, { ...sampleResult(), image: IMAGE });
  const second = publishGraph(other.mesh, pinGraph(graphOf(job), pins));
  other.mesh.drives.publish(second);
  await settled(other.clock, other.peer.start());
  await other.clock.advance(30_000);
  expect(eventsOf(other.mesh, second)).toContainEqual(
    expect.objectContaining({ kind: 'task-cached', action: done.action }),
  );
  expect(other.pulls).toEqual([]);
  await settled(other.clock, other.peer.stop());
});
