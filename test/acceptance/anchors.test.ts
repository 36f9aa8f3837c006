import { LEASE_EXTEND_MS, LEASE_GIVE_UP_MS } from '@podmesh/core';
import { openMesh } from '@podmesh/jetstream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { busyboxGraph, shell } from '../process-kit/busybox-graph.ts';
import { PublishedRun } from '../process-kit/published-run.ts';
import { untilGeneration, YoungMesh } from '../process-kit/young-mesh.ts';

const MINUTES = 60_000;
const TASKS = 120;

const graph = busyboxGraph([
  {
    id: 'work',
    count: TASKS,
    cache: false,
    command: shell('sleep 3', 'echo $PODMESH_INDEX > /tmp/out'),
    outputs: { out: 'file:/tmp/out' },
  },
]);

describe('a mesh that one machine carries', () => {
  let young: YoungMesh;

  beforeEach(() => {
    young = new YoungMesh();
  });
  afterEach(() => young.ending.end(), 8 * MINUTES);

  it(
    'goes over to three while a run goes on, and survives the first one',
    async () => {
      await young.start();
      const connection = await young.connect();
      const mesh = openMesh(connection);
      young.ending.defer(() => mesh.stop());
      const run = await PublishedRun.publish(mesh, graph, () =>
        young.peers.map(({ said }) => said.slice(-2_000)).join('\n'),
      );
      young.ending.defer(() => run.stop());
      const done = () => run.of('attempt-succeeded').length;
      await run.until('attempt-succeeded', () => done() >= 5);
      const set = await young.setAnchors();
      expect(set.code, set.err).toBe(0);
      expect(set.out).toMatch(/^anchors: .* \(paused \d+ ms\)$/m);
      console.log(set.out.trim());
      expect(await untilGeneration(connection, 2)).toBe(3);
      const before = done();
      await run.until('attempt-succeeded', () => done() >= before + 3);
      const lost = () => [...run.of('attempt-failed'), ...run.of('attempt-lost')];
      const stamps = run.facts.map(({ at }) => Date.parse(at));
      const silentMs = Math.max(...stamps.map((at, number) => at - (stamps[number - 1] ?? at)));
      console.log(
        `moved at ${before} of ${TASKS}; silent for ${silentMs} ms; ${lost().length} lost`,
      );
      // A claim that was extended just before outlives a pause of this length; a longer one costs what the rules say.
      if (silentMs < LEASE_GIVE_UP_MS - LEASE_EXTEND_MS) expect(lost()).toEqual([]);
      for (const { event } of run.of('attempt-failed'))
        expect(event.failure.kind).toBe('lease-lost');

      // Whoever made the mesh is one of three now. Its server ends with it, as when its plug is pulled.
      await young.pullThePlug(young.ann);
      expect((await run.untilEnd()).state, run.told()).toBe('succeeded');
      expect(run.violations()).toEqual([]);
      expect(done()).toBe(TASKS);
    },
    12 * MINUTES,
  );
});
