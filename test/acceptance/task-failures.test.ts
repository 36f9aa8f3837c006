import { type Graph, type Requirements, STDERR_TAIL_BYTES_MAX, type TaskId } from '@podmesh/core';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { busyboxGraph, shell } from '../process-kit/busybox-graph.ts';
import {
  awaitGate,
  findContainers,
  MAKE_GATES,
  openGate,
  untilGone,
} from '../process-kit/podman-containers.ts';
import { ProcessMesh } from '../process-kit/process-mesh.ts';
import type { PublishedRun } from '../process-kit/published-run.ts';
import { tasksThatSpeak, untilSpoken } from '../process-kit/tasks-that-speak.ts';

const MINUTES = 60_000;
const CORES = 4;

describe('a daemon with four cores', () => {
  let cluster: ProcessMesh;

  beforeAll(async () => {
    cluster = await ProcessMesh.start();
    await cluster.addPeer('four', { cores: CORES });
  }, 8 * MINUTES);

  // Tasks of a test that failed must not take the cores of the next one.
  afterEach(() => cluster.cancelRuns());

  afterAll(() => cluster.stop(), 8 * MINUTES);

  /** Runs one job that has to fail, and tells how its last attempt did. */
  async function failureOf(job: object) {
    const run = await cluster.publish(busyboxGraph([{ id: 'bad', cache: false, ...job }]));
    const end = await run.untilEnd();
    expect(end.state, run.told()).toBe('failed');
    expect(end.counts).toMatchObject({ succeeded: 0, failed: 1 });
    expect(run.violations()).toEqual([]);
    await untilGone({ run: run.run });
    const last = run.of('attempt-failed').at(-1);
    if (last === undefined) throw new Error(run.told());
    return last.event.failure;
  }

  it(
    'names an image that is not there',
    async () => {
      const image = 'localhost/podmesh/no-such-image:9';
      const failure = await failureOf({ container: image, command: shell('true') });
      expect(failure.kind, failure.message).toBe('image-unavailable');
      expect(failure.message).toContain(image);
    },
    8 * MINUTES,
  );

  it(
    'names an input whose bytes are nowhere',
    async () => {
      const digest = `sha256:${'ab'.repeat(32)}`;
      const failure = await failureOf({ inputs: { lost: digest }, command: shell('true') });
      expect(failure.kind, failure.message).toBe('input-missing');
      expect(failure.message).toContain(digest);
    },
    8 * MINUTES,
  );

  it(
    'kills a task that outlives its time limit and ignores SIGTERM',
    async () => {
      const command = shell("trap '' TERM", 'while :; do sleep 1; done');
      const failure = await failureOf({ command, timeout: '2s' });
      expect(failure.kind, failure.message).toBe('timeout');
      expect(failure.exit).toMatchObject({ signal: 'SIGKILL' });
    },
    8 * MINUTES,
  );

  it(
    'keeps the last 16 KiB of standard error of a command that failed',
    async () => {
      const failure = await failureOf({ command: shell('seq 1 100000 >&2', 'exit 3') });
      expect(failure.kind, failure.message).toBe('exit');
      expect(failure.exit?.code).toBe(3);
      expect(Buffer.byteLength(failure.stderrTail ?? '')).toBe(STDERR_TAIL_BYTES_MAX);
      expect(failure.stderrTail?.endsWith('\n99999\n100000\n')).toBe(true);
    },
    8 * MINUTES,
  );

  it(
    'runs four tasks of one core at a time, and never a fifth',
    async () => {
      const job = { id: 'core', count: 10, cache: false };
      const command = shell(MAKE_GATES, 'echo begun', awaitGate('last'));
      const run = await cluster.publish(busyboxGraph([{ ...job, command }]));
      let begun = 0;
      for await (const task of tasksThatSpeak(cluster.mesh, run)) {
        begun += 1;
        if (begun === CORES) {
          const running = await findContainers({ run: run.run });
          expect(running.map(({ state }) => state)).toEqual(Array(CORES).fill('running'));
          for (const { id } of running) await openGate(id, 'last');
        } else if (begun > CORES) {
          await openGateOf(run, task);
        }
        if (begun === job.count) break;
      }
      expect((await run.untilEnd()).state, run.told()).toBe('succeeded');
      expect(Math.max(...coresInUse(run, () => 1))).toBe(CORES);
      await untilGone({ run: run.run });
    },
    8 * MINUTES,
  );

  it(
    'never takes more than it has, whatever mixture is offered',
    async () => {
      const job = (cpus: number, count: number) => ({
        id: `needs-${cpus}`,
        count,
        cache: false,
        needs: { cpus },
        command: shell('sleep 0.1'),
      });
      const graph = busyboxGraph([job(1, 12), job(2, 6), job(3, 4), job(4, 2)]);
      const run = await cluster.publish(graph);
      expect((await run.untilEnd()).state, run.told()).toBe('succeeded');
      expect(run.violations()).toEqual([]);
      expect(Math.max(...coresInUse(run, coresOf(graph)))).toBe(CORES);
    },
    8 * MINUTES,
  );

  it(
    'stops the containers of a run that is cancelled',
    async () => {
      const job = { id: 'endless', count: 6, cache: false };
      const command = shell("trap 'exit 9' TERM", MAKE_GATES, 'echo begun', awaitGate('never'));
      const run = await cluster.publish(busyboxGraph([{ ...job, command }]));
      await untilSpoken(cluster.mesh, run, { tasks: CORES });
      await cluster.mesh.runLog.append(
        { kind: 'run-cancel-requested', run: run.run, by: 'acceptance', reason: 'enough' },
        0,
      );
      const end = await run.untilEnd();
      expect(end.state, run.told()).toBe('cancelled');
      expect(end.counts).toMatchObject({ succeeded: 0, cancelled: 6 });
      expect(run.violations()).toEqual([]);
      await untilGone({ run: run.run });
    },
    8 * MINUTES,
  );
});

async function openGateOf(run: PublishedRun, task: TaskId): Promise<void> {
  const open = run.openAttempts().find((attempt) => attempt.task === task);
  if (open === undefined) throw new Error(`${task} speaks but does not run; ${run.told()}`);
  const [container] = await findContainers({ claim: open.claim });
  if (container === undefined) throw new Error(`${task} has no container; ${run.told()}`);
  await openGate(container.id, 'last');
}

const coresOf =
  (graph: Graph) =>
  (task: TaskId): Requirements['cpus'] => {
    const job = graph.jobs.find(({ id }) => id === task.split(':')[0]);
    return job?.requirements.cpus ?? Number.NaN;
  };

/** Cores of all open attempts after each fact, by the order of the log. */
function coresInUse(run: PublishedRun, cores: (task: TaskId) => number): readonly number[] {
  const open = new Map<TaskId, number>();
  return run.facts.map(({ event }) => {
    if (event.kind === 'attempt-started') open.set(event.task, cores(event.task));
    else if ('task' in event) open.delete(event.task);
    return [...open.values()].reduce((sum, one) => sum + one, 0);
  });
}
