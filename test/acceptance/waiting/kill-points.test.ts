import { createHash } from 'node:crypto';
import { ATTEMPT_STEPS, type AttemptStep } from '@podmesh/daemon';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { untilNoProcesses, untilNoTraces } from '../../process-kit/attempt-traces.ts';
import { busyboxGraph, shell } from '../../process-kit/busybox-graph.ts';
import { DaemonProcess } from '../../process-kit/daemon-process.ts';
import { Ending } from '../../process-kit/ending.ts';
import { ProcessMesh } from '../../process-kit/process-mesh.ts';
import { within } from '../../process-kit/within.ts';

const MINUTES = 60_000;
/** Whoever drives the run may be killed first, at its own step, and the next one, too. */
const KILLED_MS = 300_000;

/** From here on the container of the first attempt is there, and the next daemon goes on with it. */
const ADOPTED_FROM: AttemptStep = 'container-started';
/** From here on the outcome is a fact: nothing may happen any more but cleaning up. */
const SETTLED_FROM: AttemptStep = 'outcome-appended';

const isAtOrAfter = (step: AttemptStep, other: AttemptStep): boolean =>
  ATTEMPT_STEPS.indexOf(step) >= ATTEMPT_STEPS.indexOf(other);

/** What each task says. */
const SAID = 'begun\n';
const LOG = {
  digest: `sha256:${createHash('sha256').update(SAID).digest('hex')}`,
  bytes: SAID.length,
};

describe.each(['podman', 'crun'] as const)('a daemon in the lane %s', (runtime) => {
  let cluster: ProcessMesh;

  beforeAll(async () => {
    cluster = await ProcessMesh.start();
    // Claims none of the tasks, and is there to drive.
    await cluster.addPeer('driver');
  }, 8 * MINUTES);

  afterAll(() => cluster.stop(), 8 * MINUTES);

  // Some at a time: most of it is waiting for leases. Each daemon claims the task of its own step only.
  it.concurrent.each(ATTEMPT_STEPS)(
    'that is killed at the step %s ends the task once, and leaves nothing behind',
    async (step) => {
      const label = `step=${runtime}-${step}`;
      const words = ['--label', label];
      const first = cluster.newPeer(step, { runtime, words, env: { PODMESH_KILL_AT: step } });
      const { name, home, nats } = first.options;
      await first.start();
      const run = await cluster.publish(
        busyboxGraph([
          {
            id: 'task',
            env: { STEP: `${runtime} ${step}` },
            command: shell('echo begun', 'sleep 0.3', 'echo "$STEP" > /tmp/out'),
            outputs: { out: 'file:/tmp/out', words: 'fd:3' },
            needs: { memory: '64MiB', labels: [label] },
          },
        ]),
      );
      const killed = await within(KILLED_MS, () => `${name} to die; ${first.said}`, first.end());
      expect(killed.signal, killed.said).toBe('SIGKILL');

      const second = new DaemonProcess({
        name,
        home,
        ...(nats === undefined ? {} : { nats }),
        words: ['--runtime', runtime, ...words],
      });
      const ending = new Ending();
      ending.defer(() => second.endPodmanService());
      ending.defer(() => second.stop());
      await ending.after(async () => {
        await second.start();
        expect((await run.untilEnd()).state, run.told()).toBe('succeeded');
        expect(run.violations()).toEqual([]);
        const published = run.of('attempt-succeeded').length + run.of('task-cached').length;
        expect(published, run.told()).toBe(1);
        if (isAtOrAfter(step, ADOPTED_FROM)) {
          expect(run.of('attempt-started'), run.told()).toHaveLength(1);
        }
        // Whoever read it, and however much of it the killed one had: nothing is lost, nothing doubled.
        for (const { event } of run.of('attempt-succeeded')) {
          expect(event.result.log, run.told()).toEqual({ ...LOG, truncated: false });
        }
        if (isAtOrAfter(step, SETTLED_FROM)) expect(run.of('attempt-lost')).toEqual([]);
        await untilNoTraces(home, name);
      });
      await untilNoProcesses(home);
    },
    15 * MINUTES,
  );
});
