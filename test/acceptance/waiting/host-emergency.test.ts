import { join } from 'node:path';
import { type FailureKind, type PeerId, peerId, type RuntimeName } from '@podmesh/core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { busyboxGraph, shell } from '../../process-kit/busybox-graph.ts';
import { ProcessMesh } from '../../process-kit/process-mesh.ts';
import type { PublishedRun } from '../../process-kit/published-run.ts';
import { replaceFile } from '../../process-kit/replace-file.ts';
import { untilSpoken } from '../../process-kit/tasks-that-speak.ts';
import { untilSeen } from '../../process-kit/within.ts';

const MINUTES = 60_000;
const HEARD_MS = 240_000;
const MIB = 2 ** 20;
const LANES: readonly RuntimeName[] = ['podman', 'crun'];

/** Writes more than it asked for, which is nothing, and then waits for its end. */
const greedy = shell(
  "trap 'exit 9' TERM",
  'dd if=/dev/zero of=/tmp/much bs=1M count=8 2>/dev/null',
  'echo begun',
  'while :; do sleep 0.2; done',
);

const emergencies: readonly (readonly [FailureKind, object])[] = [
  ['oom-host', { availableBytes: 64 * MIB }],
  ['disk-host', { freeDiskBytes: 64 * MIB }],
];

describe('a machine in distress', () => {
  let cluster: ProcessMesh;
  let machine: string;
  let poor: PeerId;

  beforeAll(async () => {
    cluster = await ProcessMesh.start();
    machine = join(cluster.folder, 'machine.json');
    await pretend({});
    const env = { PODMESH_PRETEND_MACHINE: machine };
    poor = peerId((await cluster.addPeer('poor', { runtime: 'auto', env })).name);
  }, 8 * MINUTES);

  afterAll(() => cluster.stop(), 8 * MINUTES);

  const pretend = (what: object): Promise<void> => replaceFile(machine, JSON.stringify(what));

  it.each(emergencies.flatMap(([kind, what]) => LANES.map((lane) => [kind, lane, what] as const)))(
    'ends one task as %s in the lane %s, tells why it claims nothing, and goes on when it is over',
    async (kind, runtime, distress) => {
      const run = await cluster.publish(
        busyboxGraph([{ id: 'task', runtime, cache: false, command: greedy }]),
      );
      await untilSpoken(cluster.mesh, run);
      await pretend(distress);
      const { event } = await run.until('attempt-failed');
      expect(event.failure.kind, run.told()).toBe(kind);
      await untilPaused(/memory pressure|of disk are free/);
      expect(run.of('attempt-started')).toHaveLength(1);

      await pretend({});
      await untilSpoken(cluster.mesh, run, { attempt: 2 });
      await cancel(run);
      expect((await run.untilEnd()).state, run.told()).toBe('cancelled');
      expect(run.violations()).toEqual([]);
    },
    15 * MINUTES,
  );

  async function untilPaused(why: RegExp): Promise<void> {
    let told: string | undefined;
    await untilSeen(
      HEARD_MS,
      () => `${poor} to tell why it claims nothing; it tells ${told}`,
      async () => {
        told = (await cluster.mesh.peers.find(poor))?.paused;
        return told !== undefined && why.test(told);
      },
    );
  }

  async function cancel({ run }: PublishedRun): Promise<void> {
    const by = 'acceptance';
    await cluster.mesh.runLog.append({ kind: 'run-cancel-requested', run, by, reason: 'seen' }, 0);
  }
});
