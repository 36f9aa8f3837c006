import { canonicalJson, type RunPublished } from '@podmesh/core';
import { systemClock } from '@podmesh/daemon';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { newRunId } from '../../bench/bench-mesh.ts';
import { busyboxGraph, shell } from '../../process-kit/busybox-graph.ts';
import { untilGone } from '../../process-kit/podman-containers.ts';
import { ProcessMesh } from '../../process-kit/process-mesh.ts';
import { PublishedRun } from '../../process-kit/published-run.ts';

const MINUTES = 60_000;
/** The one time that is waited for: an absence of this length is what the issue asks to survive. */
const OUTAGE_MS = 60_000;
const TASKS = 40;

const manyShortTasks = busyboxGraph([
  {
    id: 'work',
    count: TASKS,
    cache: false,
    command: shell('sleep 0.5', 'echo $PODMESH_INDEX > /tmp/out'),
    outputs: { out: 'file:/tmp/out' },
  },
  {
    id: 'gather',
    cache: false,
    command: shell('find /in/all -type f | sort | xargs cat > /tmp/all'),
    inputs: { all: 'jobs:work/out' },
    outputs: { all: 'file:/tmp/all' },
  },
]);

describe('what the mesh keeps', () => {
  let cluster: ProcessMesh;

  beforeAll(async () => {
    cluster = await ProcessMesh.start();
    await Promise.all(['ann', 'bob'].map((name) => cluster.addPeer(name)));
  }, 8 * MINUTES);

  afterAll(() => cluster.stop(), 8 * MINUTES);

  it(
    'outlives a server that is killed and away for 60 s in the middle of a run',
    async () => {
      const run = await cluster.publish(manyShortTasks);
      await run.until('attempt-succeeded', () => run.of('attempt-succeeded').length >= 10);
      await cluster.server.kill();
      await systemClock.sleep(OUTAGE_MS);
      const settledBefore = run.of('attempt-succeeded').length;
      await cluster.server.start();

      expect((await run.untilEnd()).state, run.told()).toBe('succeeded');
      expect(run.violations()).toEqual([]);
      expect(settledBefore).toBeLessThan(TASKS);
      console.log(`attempts of ${TASKS + 1} tasks: ${run.of('attempt-started').length}`);
      await untilGone({ run: run.run });
    },
    15 * MINUTES,
  );

  it(
    'needs neither the drive nor the offers of a run: both are made again from the log',
    async () => {
      // Published without its drive, as if that had been lost.
      const run = newRunId();
      const published: RunPublished = {
        kind: 'run-published',
        run,
        graph: { kind: 'inline', graph: JSON.parse(canonicalJson(manyShortTasks)) },
        taskCount: TASKS + 1,
        publisher: 'acceptance@localhost',
      };
      await cluster.mesh.runLog.append(published, 0);
      const followed = PublishedRun.follow(cluster.mesh, run);
      try {
        await followed.until(
          'attempt-succeeded',
          () => followed.of('attempt-succeeded').length >= 10,
        );
        await cluster.mesh.offers.discard(run);
        const settled = followed.of('attempt-succeeded').length;
        expect(settled).toBeLessThan(TASKS);

        expect((await followed.untilEnd()).state, followed.told()).toBe('succeeded');
        expect(followed.violations()).toEqual([]);
        await untilGone({ run });
      } finally {
        await followed.stop();
      }
    },
    15 * MINUTES,
  );
});
