import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { EMPTY_ARTIFACT, FAILURE_POLICIES, type FailureKind, type Job } from '@podmesh/core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { busyboxGraph, shell } from '../../process-kit/busybox-graph.ts';
import { podman } from '../../process-kit/podman-containers.ts';
import { ProcessMesh } from '../../process-kit/process-mesh.ts';
import type { PublishedRun } from '../../process-kit/published-run.ts';

const MINUTES = 60_000;
const FOREIGN = 'localhost/podmesh/another-platform:1';
const NOWHERE = `sha256:${'ab'.repeat(32)}`;

/** Holds 100 MiB of memory for longer than a busy machine takes to look, at no cost, and then is content. */
const eats100MiB = shell('(head -c 104857600 /dev/zero; sleep 30) | tail -c 104857600 > /dev/null');
const writes400MiB = shell('dd if=/dev/zero of=/tmp/much bs=1M count=400', 'sleep 20');

/** A task that must fail in one way, and what has to follow: the kinds of its attempts, in order. */
interface Fixture {
  readonly job: object;
  /** What no document can say. */
  readonly mountAt?: Job['mountAt'];
  readonly kinds: readonly FailureKind[];
  /** Part of what the person reads. */
  readonly says: RegExp;
  /** Whether the last attempt succeeds after these. */
  readonly succeeds?: true;
}

const twice = (kind: FailureKind): readonly FailureKind[] => [kind, kind];
const asTheTableSays = (kind: FailureKind): readonly FailureKind[] => {
  const { budget } = FAILURE_POLICIES[kind];
  return Array.from({ length: 1 + (budget === 'job' ? 0 : budget) }, () => kind);
};

const fixtures: Readonly<Record<string, Fixture>> = {
  exit: { job: { command: shell('exit 3') }, kinds: ['exit'], says: /exited with 3/ },
  'exit, repeated because the job says so': {
    job: { command: shell('exit 4'), retries: { exit: 1 } },
    kinds: twice('exit'),
    says: /exited with 4/,
  },
  'a program that is not there': {
    job: { command: ['/no/such/program'] },
    kinds: ['exit'],
    says: /\/no\/such\/program/,
  },
  'more processes than allowed': {
    job: {
      command: shell('i=0; while [ $i -lt 4500 ]; do sleep 60 & i=$((i + 1)); done; wait'),
      needs: { memory: '2GiB' },
    },
    kinds: ['exit'],
    says: /processes|exited with/,
  },
  'oom-task, with twice the memory': {
    job: { command: eats100MiB, needs: { memory: '64MiB' } },
    kinds: ['oom-task'],
    says: /64 MiB/,
    succeeds: true,
  },
  'oom-task, where the job wants no repetition': {
    job: { command: eats100MiB, needs: { memory: '64MiB' }, retries: { 'oom-task': 0 } },
    kinds: ['oom-task'],
    says: /64 MiB/,
  },
  'disk-task': {
    job: { command: writes400MiB, needs: { disk: '256MiB' } },
    kinds: ['disk-task'],
    says: /256 MiB/,
  },
  timeout: {
    job: { command: shell("trap '' TERM; while :; do sleep 1; done"), timeout: '1s' },
    kinds: ['timeout'],
    says: /longer than its 1 s/,
  },
  'output-missing': {
    job: { command: shell('true'), outputs: { out: 'file:/tmp/nothing' } },
    kinds: ['output-missing'],
    says: /output out/,
  },
  'image-unavailable': {
    job: { command: shell('true'), container: 'localhost/podmesh/no-such-image:9' },
    kinds: asTheTableSays('image-unavailable'),
    says: /localhost\/podmesh\/no-such-image:9/,
  },
  'image-platform': {
    job: { command: shell('true'), container: FOREIGN },
    kinds: asTheTableSays('image-platform'),
    says: /arm64.*amd64|amd64.*arm64/,
  },
  'start-failed': {
    // Nothing can be mounted there.
    job: {
      command: shell('true'),
      inputs: { x: EMPTY_ARTIFACT },
      retries: { 'start-failed': 1 },
    },
    mountAt: { x: '/proc/1/x' },
    kinds: twice('start-failed'),
    says: /\/proc\/1\/x/,
  },
  'input-missing': {
    job: { command: shell('true'), inputs: { lost: NOWHERE } },
    kinds: asTheTableSays('input-missing'),
    says: new RegExp(NOWHERE),
  },
};

const LANES = ['podman', 'crun'] as const;
const cases = Object.entries(fixtures).flatMap(([name, fixture]) =>
  LANES.map((lane) => [lane, name, fixture] as const),
);

describe('a task that fails', () => {
  let cluster: ProcessMesh;
  const runs = new Map<string, PublishedRun>();

  beforeAll(async () => {
    await buildForeignImage();
    cluster = await ProcessMesh.start();
    await cluster.addPeer('both', { runtime: 'auto' });
    // All at once: most of them wait for something.
    for (const [runtime, name, { job, mountAt }] of cases) {
      const one = { id: 'bad', cache: false, needs: { memory: '64MiB' }, runtime, ...job };
      const graph = busyboxGraph([one]);
      const jobs = graph.jobs.map((made) => (mountAt === undefined ? made : { ...made, mountAt }));
      runs.set(`${runtime} ${name}`, await cluster.publish({ ...graph, jobs }));
    }
  }, 8 * MINUTES);

  afterAll(async () => {
    await cluster.stop();
    await podman('rmi', '--ignore', FOREIGN);
  }, 8 * MINUTES);

  it.each(cases)(
    'in the lane %s by %s is named, and answered by its rule',
    async (lane, name, { kinds, says, succeeds }) => {
      const run = runs.get(`${lane} ${name}`);
      if (run === undefined) throw new Error(`${name} was never published`);
      const end = await run.untilEnd();
      const failures = run.of('attempt-failed').map(({ event }) => event.failure);
      expect(
        failures.map(({ kind }) => kind),
        run.told(),
      ).toEqual(kinds);
      expect(failures.at(-1)?.message).toMatch(says);
      expect(end.state, run.told()).toBe(succeeds === true ? 'succeeded' : 'failed');
      expect(run.of('attempt-started')).toHaveLength(kinds.length + (succeeds === true ? 1 : 0));
      expect(run.violations()).toEqual([]);
    },
    8 * MINUTES,
  );
});

/** An image that no machine of this test can run. */
async function buildForeignImage(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'podmesh-foreign-'));
  try {
    await writeFile(join(folder, 'Containerfile'), 'FROM scratch\nLABEL of=another-platform\n');
    const platform = process.arch === 'arm64' ? 'linux/amd64' : 'linux/arm64';
    const options = ['--quiet', '--isolation', 'chroot', '--platform', platform];
    await podman('build', ...options, '--tag', FOREIGN, folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
