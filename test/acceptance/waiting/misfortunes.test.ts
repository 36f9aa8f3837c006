import { type FailureKind, LEASE_MS, type TaskId, taskId } from '@podmesh/core';
import { systemClock } from '@podmesh/daemon';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { busyboxGraph, shell } from '../../process-kit/busybox-graph.ts';
import { CommandLine } from '../../process-kit/command-line.ts';
import { ProcessMesh } from '../../process-kit/process-mesh.ts';
import type { PublishedRun } from '../../process-kit/published-run.ts';
import { untilSpoken } from '../../process-kit/tasks-that-speak.ts';

const MINUTES = 60_000;
/** An absence of the server that outlasts every lease: the one time that is waited for. */
const OUTAGE_MS = LEASE_MS + 2_000;
const lanes = [taskId('podman'), taskId('crun')];

/** One endless task in each lane, which may not fail once by its own doing. */
const endless = busyboxGraph(
  lanes.map((lane) => ({
    id: lane,
    runtime: lane,
    cache: false,
    command: shell("trap 'exit 9' TERM", 'echo begun', 'while :; do sleep 0.2; done'),
  })),
);

describe('a task that meets all the misfortunes of a mesh, in both lanes', () => {
  let cluster: ProcessMesh;
  let run: PublishedRun;

  beforeAll(async () => {
    cluster = await ProcessMesh.start();
  }, 8 * MINUTES);

  afterAll(() => cluster.stop(), 8 * MINUTES);

  /** Both tasks are at work on attempt `attempt`, on that peer. */
  async function untilAtWork(attempt: number, peer: string): Promise<void> {
    for (const task of lanes) {
      const { event } = await run.until(
        'attempt-started',
        (started) => started.task === task && started.attempt === attempt,
      );
      expect(event.peer, run.told()).toBe(peer);
    }
    await untilSpoken(cluster.mesh, run, { tasks: lanes.length, attempt });
  }

  async function untilFailed(attempt: number, kind: FailureKind): Promise<void> {
    for (const task of lanes) {
      const { event } = await run.until(
        'attempt-failed',
        (failed) => failed.task === task && failed.attempt === attempt,
      );
      expect(event.failure.kind, run.told()).toBe(kind);
    }
  }

  async function untilLost(attempt: number, peer: string): Promise<void> {
    for (const task of lanes) {
      const { event } = await run.until(
        'attempt-lost',
        (lost) => lost.task === task && lost.attempt === attempt,
      );
      expect(event.peer).toBe(peer);
    }
  }

  it(
    'is repeated for free, held when it lost a second peer, and released by a person',
    async () => {
      const ann = await cluster.addPeer('ann', { runtime: 'auto' });
      run = await cluster.publish(endless);
      await untilAtWork(1, ann.name);

      await cluster.server.kill();
      await systemClock.sleep(OUTAGE_MS);
      await cluster.server.start();
      await untilFailed(1, 'lease-lost');
      await untilAtWork(2, ann.name);

      const bob = await cluster.addPeer('bob', { runtime: 'auto' });
      await ann.stop();
      await untilFailed(2, 'drained');
      await untilAtWork(3, bob.name);

      await ann.start();
      await bob.kill();
      await untilLost(3, bob.name);
      await untilAtWork(4, ann.name);

      const cid = await cluster.addPeer('cid', { runtime: 'auto' });
      await ann.kill();
      await untilLost(4, ann.name);
      const podmesh = new CommandLine(cid.options.home, cluster.folder);
      const held = JSON.parse(await podmesh.well('show', run.run, '--json'));
      expect(statesOf(held)).toEqual({ podman: 'held', crun: 'held' });
      expect(await podmesh.well('explain', `${run.run}/crun`)).toContain(
        `podmesh release ${run.run}`,
      );

      await podmesh.well('release', run.run);
      await untilAtWork(5, cid.name);
      await podmesh.well('cancel', run.run);
      await untilFailed(5, 'cancelled');
      expect((await run.untilEnd()).state, run.told()).toBe('cancelled');
      expect(run.violations()).toEqual([]);
    },
    15 * MINUTES,
  );
});

function statesOf({ tasks }: { tasks: readonly { task: TaskId; state: string }[] }) {
  return Object.fromEntries(tasks.map(({ task, state }) => [task, state]));
}
