import { openMesh } from '@podmesh/jetstream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { busyboxGraph, shell } from '../process-kit/busybox-graph.ts';
import { PublishedRun } from '../process-kit/published-run.ts';
import { untilGeneration, YoungMesh } from '../process-kit/young-mesh.ts';

const MINUTES = 60_000;
const TASKS = 90;

const sleepers = (count: number) =>
  busyboxGraph([
    {
      id: 'work',
      count,
      cache: false,
      command: shell('sleep 3', 'echo $PODMESH_INDEX > /tmp/out'),
      outputs: { out: 'file:/tmp/out' },
    },
  ]);

describe('three anchors', () => {
  let young: YoungMesh;

  beforeEach(() => {
    young = new YoungMesh();
  });
  afterEach(() => young.ending.end(), 3 * MINUTES);

  it(
    'give the place of one that is gone, and of one that works, to others while a run goes on',
    async () => {
      await young.start();
      const [ann, bob, cid] = young.peers;
      const dan = await young.add('dan');
      if (ann === undefined || bob === undefined || cid === undefined) throw new Error('nobody');
      const moved = await young.setAnchors(ann, bob, cid);
      expect(moved.code, moved.err).toBe(0);
      const connection = await young.connect();
      const mesh = openMesh(connection);
      young.ending.defer(() => mesh.stop());
      const run = await PublishedRun.publish(mesh, sleepers(TASKS), () =>
        young.peers.map(({ said }) => said.slice(-2_000)).join('\n'),
      );
      young.ending.defer(() => run.stop());
      const done = () => run.of('attempt-succeeded').length;
      await run.until('attempt-succeeded', () => done() >= 5);

      await young.pullThePlug(cid);
      // The others elect leaders first; a command that is typed meanwhile says that the mesh stands still.
      const before = done();
      await run.until('attempt-succeeded', () => done() > before);
      const replaced = await young.type(ann, 'anchors', 'replace', cid.name, dan.name);
      expect(replaced.code, replaced.err).toBe(0);
      expect(await untilGeneration(connection, 3)).toBe(3);

      const eve = await young.add('eve');
      const retired = await young.type(ann, 'anchors', 'retire', bob.name, eve.name);
      expect(retired.code, retired.err).toBe(0);
      expect(await untilGeneration(connection, 4)).toBe(3);
      expect((await run.untilEnd()).state, run.told()).toBe('succeeded');
      expect(run.violations()).toEqual([]);
      expect(done()).toBe(TASKS);

      // The last one that came really carries it: without another of them it has to agree.
      await young.pullThePlug(dan);
      const after = await PublishedRun.publish(mesh, sleepers(3), () => 'after the exchange');
      young.ending.defer(() => after.stop());
      expect((await after.untilEnd()).state, after.told()).toBe('succeeded');
      const own = await young.type(ann, 'anchors', 'retire', ann.name, eve.name);
      expect(own.code).not.toBe(0);
    },
    8 * MINUTES,
  );
});
