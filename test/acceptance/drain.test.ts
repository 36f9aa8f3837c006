import { type PeerEntry, taskId } from '@podmesh/core';
import { systemClock } from '@podmesh/daemon';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { busyboxGraph, shell } from '../process-kit/busybox-graph.ts';
import { CommandLine } from '../process-kit/command-line.ts';
import type { DaemonProcess } from '../process-kit/daemon-process.ts';
import { awaitGate, letEnd, MAKE_GATES } from '../process-kit/podman-containers.ts';
import { ProcessMesh } from '../process-kit/process-mesh.ts';
import { untilSeen, within } from '../process-kit/within.ts';

const MINUTES = 60_000;
/** Two signals within half a second are one. */
const NEXT_SIGNAL_MS = 600;
const LOOK_MS = 200;

describe('draining one of two daemons during a run', () => {
  let cluster: ProcessMesh;
  let ann: DaemonProcess;
  let bob: DaemonProcess;

  beforeAll(async () => {
    cluster = await ProcessMesh.start();
    ann = await cluster.addPeer('ann', { env: { PODMESH_PRETEND_HOST: 'ann' } });
    bob = cluster.newPeer('bob', {
      words: ['--label', 'place=bob'],
      env: { PODMESH_PRETEND_HOST: 'bob' },
    });
  }, 8 * MINUTES);

  afterAll(() => cluster.stop(), 8 * MINUTES);

  const podmesh = ({ options: { home } }: DaemonProcess, ...words: readonly string[]) =>
    new CommandLine(home, cluster.folder).run(...words);

  async function entryOf({ name }: DaemonProcess): Promise<PeerEntry | undefined> {
    return (await cluster.mesh.peers.list()).find(({ peer }) => peer === name);
  }

  function untilEntry(
    daemon: DaemonProcess,
    match: (entry: PeerEntry | undefined) => boolean,
  ): Promise<void> {
    let told: PeerEntry | undefined;
    const isSo = async (): Promise<boolean> => {
      told = await entryOf(daemon);
      return match(told);
    };
    const what = () => `${daemon.name} to tell; ${JSON.stringify(told)}; ${daemon.said}`;
    return untilSeen(4 * MINUTES, what, isSo, LOOK_MS);
  }

  it(
    'finishes what it has, hands its run and its outputs over, and may vanish then',
    async () => {
      const run = await cluster.publish(
        busyboxGraph([
          {
            id: 'big',
            cache: false,
            command: shell('dd if=/dev/urandom of=/tmp/big bs=1M count=4'),
            outputs: { big: 'file:/tmp/big' },
          },
          { id: 'long', count: 3, cache: false, after: ['big'], command: shell('sleep 6') },
          {
            id: 'sum',
            cache: false,
            after: ['long'],
            // However slowly the other one starts, this is left for it.
            needs: { labels: ['place=bob'] },
            command: shell('wc -c < /in/big'),
            inputs: { big: 'jobs:big/big' },
            outputs: { bytes: 'fd:1' },
          },
        ]),
      );
      await run.until('attempt-started', () => run.openAttempts().length === 3);
      expect(run.openAttempts().map(({ peer }) => peer)).toEqual(Array(3).fill(ann.name));
      await bob.start();

      const drained = await podmesh(ann, 'drain', '--deadline', '5m');
      expect(drained, drained.err).toMatchObject({ code: 0 });
      expect(drained.out).toContain(`${ann.name} is drained`);
      expect(await entryOf(ann)).toMatchObject({
        claims: [],
        driving: 0,
        drain: { state: 'drained', unkept: 0 },
      });
      const peers = await podmesh(ann, 'peers');
      expect(peers.out).toMatch(/paused: drained \(/);
      await ann.kill();

      expect((await run.untilEnd()).state, run.told()).toBe('succeeded');
      expect(run.violations()).toEqual([]);
      expect(run.of('attempt-failed')).toEqual([]);
      expect(run.of('attempt-lost')).toEqual([]);
      expect(run.of('outputs-lost')).toEqual([]);
      const sum = run.of('attempt-succeeded').find(({ event }) => event.task === taskId('sum'));
      expect(sum?.event.result.peer).toBe(bob.name);
      // The only copy of its input was on the one that is gone.
      const big = run.outputs()['big/big'];
      expect(sum?.event.result.inputs.big).toBe(big);
    },
    15 * MINUTES,
  );

  it(
    'stays so when it is started again; a deadline gives back without a charge, and undrain ends it',
    async () => {
      await ann.start();
      await untilEntry(ann, (entry) => entry?.drain?.state === 'drained');
      const command = shell("trap 'exit 9' TERM", MAKE_GATES, 'echo begun', awaitGate('last'));
      const run = await cluster.publish(busyboxGraph([{ id: 'slow', cache: false, command }]));
      await run.until('attempt-started', ({ peer }) => peer === bob.name);
      // From the other machine, by its name.
      const drained = await podmesh(ann, 'drain', bob.name, '--deadline', '0', '--json');
      expect(drained, drained.err).toMatchObject({ code: 0 });
      expect(JSON.parse(drained.out)).toMatchObject({
        peer: bob.name,
        drain: { state: 'drained' },
      });
      const failed = await run.until('attempt-failed');
      expect(failed.event).toMatchObject({ failure: { kind: 'drained' } });
      expect(run.of('attempt-started')).toHaveLength(1);

      expect(await podmesh(ann, 'undrain')).toMatchObject({ code: 0 });
      // It has no retries of its own.
      const end = await letEnd({ run: run.run }, run.untilEnd());
      expect(end.state, run.told()).toBe('succeeded');
      expect(run.of('attempt-started').map(({ event }) => event.peer)).toEqual([
        bob.name,
        ann.name,
      ]);
      expect(run.violations()).toEqual([]);
      expect(await podmesh(ann, 'undrain', bob.name)).toMatchObject({ code: 0 });
      await untilEntry(bob, (entry) => entry !== undefined && entry.paused === undefined);
    },
    15 * MINUTES,
  );

  it(
    'SIGTERM lets what runs end within its grace, and a second one ends it at once',
    async () => {
      const cid = await cluster.addPeer('cid', {
        words: ['--grace', '60s', '--label', 'place=cid'],
      });
      const needs = { labels: ['place=cid'] };
      const short = await cluster.publish(
        busyboxGraph([{ id: 'short', cache: false, needs, command: shell('sleep 4') }]),
      );
      await short.until('attempt-started');
      expect((await cid.stop())?.code).toBe(0);
      await short.until('attempt-succeeded');
      expect(short.of('attempt-started')).toHaveLength(1);

      await cid.start();
      const long = await cluster.publish(
        busyboxGraph([{ id: 'long', cache: false, needs, command: shell('sleep 600') }]),
      );
      await long.until('attempt-started');
      await untilEntry(cid, (entry) => (entry?.claims.length ?? 0) > 0);
      process.kill(cid.pid ?? 0, 'SIGTERM');
      await cid.untilSaid('what runs has 60 s to end');
      await untilEntry(cid, (entry) => entry?.drain !== undefined);
      await systemClock.sleep(NEXT_SIGNAL_MS);
      process.kill(cid.pid ?? 0, 'SIGTERM');
      expect((await within(4 * MINUTES, () => cid.said, cid.end())).code).toBe(0);
      expect((await long.until('attempt-failed')).event.failure.kind).toBe('drained');
      await cluster.cancelRuns();
    },
    15 * MINUTES,
  );

  it(
    'names who is there when asked for a peer that is not, and refuses what is no time',
    async () => {
      const nobody = await podmesh(ann, 'drain', 'nobody');
      expect(nobody.code).toBe(2);
      expect(nobody.err).toContain(bob.name);
      expect(await podmesh(ann, 'drain', '--deadline', 'soon')).toMatchObject({ code: 2 });
    },
    8 * MINUTES,
  );
});
