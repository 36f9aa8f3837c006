import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import type { AttemptStarted, Graph } from '@podmesh/core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { busyboxGraph, shell } from '../process-kit/busybox-graph.ts';
import type { DaemonProcess } from '../process-kit/daemon-process.ts';
import {
  awaitGate,
  BUSYBOX,
  type FoundContainer,
  findContainers,
  MAKE_GATES,
  openGate,
  podman,
  removeContainers,
} from '../process-kit/podman-containers.ts';
import { ProcessMesh } from '../process-kit/process-mesh.ts';
import type { PublishedRun } from '../process-kit/published-run.ts';
import { untilSpoken } from '../process-kit/tasks-that-speak.ts';

const MINUTES = 60_000;

/** Says a word before, between and behind two gates, and leaves a file. */
const gated = busyboxGraph([
  {
    id: 'gated',
    cache: false,
    command: shell(
      MAKE_GATES,
      'echo begun',
      awaitGate('first'),
      'echo alone; echo alone >&2',
      awaitGate('last'),
      'echo ended | tee /tmp/out',
    ),
    outputs: { out: 'file:/tmp/out' },
  },
]);

describe('a daemon that was killed while its container ran', () => {
  let cluster: ProcessMesh;
  let ann: DaemonProcess;

  beforeAll(async () => {
    cluster = await ProcessMesh.start();
    ann = await cluster.addPeer('ann');
  }, 8 * MINUTES);

  afterAll(() => cluster.stop(), 8 * MINUTES);

  it(
    'adopts the container and ends attempt 1 with its whole log',
    async () => {
      const run = await cluster.publish(gated);
      const { container, started } = await untilItSpeaks(cluster, run);
      await ann.kill();
      // Nobody listens to these words.
      await openGate(container.id, 'first');
      await ann.start();
      expect(await findContainers({ run: run.run })).toMatchObject([{ id: container.id }]);
      await openGate(container.id, 'last');

      expect((await run.untilEnd()).state, run.told()).toBe('succeeded');
      await expectOneAttempt(cluster, run, started);
    },
    10 * MINUTES,
  );

  it(
    'takes the result of a container that ended while no daemon was there',
    async () => {
      const run = await cluster.publish(gated);
      const { container, started } = await untilItSpeaks(cluster, run);
      await ann.kill();
      await openGate(container.id, 'first');
      await openGate(container.id, 'last');
      await podman('wait', container.id);
      await ann.start();

      expect((await run.untilEnd()).state, run.told()).toBe('succeeded');
      await expectOneAttempt(cluster, run, started);
    },
    10 * MINUTES,
  );

  it(
    'removes the container when the task has passed on, and touches no container of others',
    async () => {
      const foreign = (await podman('run', '--detach', BUSYBOX, 'sleep', '3600')).trim();
      try {
        const run = await cluster.publish(gated);
        const { container, started } = await untilItSpeaks(cluster, run);
        await ann.kill();
        const bob = await cluster.addPeer('bob');
        const again = await run.until('attempt-started', ({ attempt }) => attempt === 2);
        expect(again.event.peer).toBe(bob.name);
        await untilSpoken(cluster.mesh, run, { attempt: 2 });
        expect(await findContainers({ claim: started.claim })).toMatchObject([
          { id: container.id, state: 'running' },
        ]);

        await ann.start();
        expect(await findContainers({ claim: started.claim })).toEqual([]);
        expect((await podman('inspect', '--format', '{{.State.Status}}', foreign)).trim()).toBe(
          'running',
        );
        const [second] = await findContainers({ claim: again.event.claim });
        if (second === undefined) throw new Error(`the container of bob is gone; ${run.told()}`);
        await openGate(second.id, 'first');
        await openGate(second.id, 'last');
        expect((await run.untilEnd()).state, run.told()).toBe('succeeded');
        expect(run.of('attempt-succeeded')).toMatchObject([{ event: { attempt: 2 } }]);
        expect(run.violations()).toEqual([]);
      } finally {
        await podman('rm', '--force', '--time', '0', foreign);
        await removeContainers({ peer: ann.name });
      }
    },
    10 * MINUTES,
  );
});

/** Spawns a task that waits at a gate, waits for it, and then for another one, which has no core but its own. */
async function newParent(): Promise<Graph> {
  const sdk = fileURLToPath(new URL('../../packages/sdk-python/podmesh.py', import.meta.url));
  const gate = JSON.stringify(shell(MAKE_GATES, 'echo begun', awaitGate('first')));
  const program = [
    `first = spawn({"command": ${gate}, "needs": {"cpus": 1}}, key="first")`,
    'print(first.wait()["state"], flush=True)',
    'print(spawn({"command": ["true"], "needs": {"cpus": 1}}, key="second").wait()["state"])',
  ];
  const text = ['__name__ = "podmesh"', await readFile(sdk, 'utf8'), ...program].join('\n');
  const python = { container: 'localhost/podmesh/python:1', cache: false };
  return busyboxGraph([{ id: 'parent', ...python, command: ['python3', '-c', text] }]);
}

describe('a daemon of one core that was killed while a task waited for its sub-task', () => {
  let cluster: ProcessMesh;
  let ann: DaemonProcess;

  beforeAll(async () => {
    cluster = await ProcessMesh.start();
    ann = await cluster.addPeer('ann', { cores: 1 });
  }, 8 * MINUTES);

  afterAll(() => cluster.stop(), 8 * MINUTES);

  it(
    'adopts both, and the core of the one that waits is for others again',
    async () => {
      const run = await cluster.publish(await newParent());
      const isFirst = ({ task }: AttemptStarted) => task === 'parent--first';
      const { event: first } = await run.until('attempt-started', isFirst);
      await untilSpoken(cluster.mesh, run);
      await ann.kill();
      await ann.start();
      const found = await findContainers({ run: run.run });
      expect(found, run.told()).toHaveLength(2);
      const [gated] = await findContainers({ claim: first.claim });
      await openGate(gated?.id ?? '', 'first');
      expect((await run.untilEnd()).state, run.told()).toBe('succeeded');
      // Nothing was done twice: the parent that waited is the one that was adopted.
      const started = run
        .of('attempt-started')
        .map(({ event }) => `${event.task} ${event.attempt}`);
      expect(started).toEqual(['parent 1', 'parent--first 1', 'parent--second 1']);
      expect(run.violations()).toEqual([]);
    },
    10 * MINUTES,
  );
});

/** The container of the first attempt, once its first word has reached the mesh: it surely runs. */
async function untilItSpeaks(
  { mesh }: ProcessMesh,
  run: PublishedRun,
): Promise<{ container: FoundContainer; started: AttemptStarted }> {
  const { event } = await run.until('attempt-started');
  await untilSpoken(mesh, run);
  const [container] = await findContainers({ run: run.run });
  if (container === undefined) throw new Error(`no container runs; ${run.told()}`);
  return { container, started: event };
}

async function expectOneAttempt(
  { mesh }: ProcessMesh,
  run: PublishedRun,
  started: AttemptStarted,
): Promise<void> {
  expect(run.violations()).toEqual([]);
  expect(run.of('attempt-started')).toHaveLength(1);
  const [succeeded] = run.of('attempt-succeeded');
  if (succeeded === undefined) throw new Error(run.told());
  expect(succeeded.event).toMatchObject({ attempt: 1, claim: started.claim });
  const pieces: Uint8Array[] = [];
  for await (const piece of mesh.artifacts.get(succeeded.event.result.log.digest)) {
    pieces.push(piece);
  }
  const words = Buffer.concat(pieces).toString('utf8').split('\n').sort();
  expect(words).toEqual(['', 'alone', 'alone', 'begun', 'ended']);
}
