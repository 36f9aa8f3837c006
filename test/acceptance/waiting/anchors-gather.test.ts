import type { AnchorRecord, Graph } from '@podmesh/core';
import type { GatherStep } from '@podmesh/daemon';
import { AnchorBook, type Mesh, type MeshConnection, openMesh } from '@podmesh/jetstream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { newRunId } from '../../bench/bench-mesh.ts';
import { putGraph } from '../../bench/put-graph.ts';
import { busyboxGraph, shell } from '../../process-kit/busybox-graph.ts';
import type { DaemonProcess } from '../../process-kit/daemon-process.ts';
import { PublishedRun } from '../../process-kit/published-run.ts';
import { untilSeen } from '../../process-kit/within.ts';
import { YoungMesh } from '../../process-kit/young-mesh.ts';

const MINUTES = 60_000;
const LOOK_MS = 500;
const TASKS = 240;

const sleepers = (count: number): Graph =>
  busyboxGraph([
    {
      id: 'work',
      count,
      cache: false,
      command: shell('sleep 3', 'echo $PODMESH_INDEX > /tmp/out'),
      outputs: { out: 'file:/tmp/out' },
    },
  ]);

describe('several anchors', () => {
  let young: YoungMesh;
  let connection: MeshConnection;
  let mesh: Mesh;

  beforeEach(async () => {
    young = new YoungMesh();
    await young.start();
    connection = await young.connect();
    mesh = openMesh(connection);
    young.ending.defer(() => mesh.stop());
    await three();
  }, 5 * MINUTES);
  afterEach(() => young.ending.end(), 3 * MINUTES);

  /** A copy that fails leaves the mesh where it is, and is asked for again. */
  async function three(): Promise<void> {
    let said = '';
    const isMoved = async () => {
      const { code, err } = await young.setAnchors();
      said = err;
      return code === 0;
    };
    await untilSeen(3 * MINUTES, () => `three anchors; ${said}`, isMoved, LOOK_MS);
    await untilAnchors(3);
    // This client hears of it a moment later, and is lost with the only one that it knows until then.
    const knows = () => `${connection.address.servers}`;
    const isTold = () => connection.address.servers.length >= 3;
    await untilSeen(MINUTES, () => `three servers, not ${knows()}`, isTold, LOOK_MS);
  }

  async function publish(graph: Graph): Promise<PublishedRun> {
    const run = newRunId();
    let why: unknown;
    const isTaken = () =>
      putGraph(mesh, run, graph).then(
        () => true,
        (error: unknown) => {
          why = error;
          return false;
        },
      );
    await untilSeen(3 * MINUTES, () => `run ${run} to be taken; ${why}`, isTaken, LOOK_MS);
    const witness = () => young.peers.map(({ said }) => said.slice(-2_000)).join('\n');
    const published = PublishedRun.follow(mesh, run, witness);
    young.ending.defer(() => published.stop());
    return published;
  }

  /** As the mesh itself says, through elections. */
  async function untilAnchors(count: number): Promise<AnchorRecord> {
    let record: AnchorRecord | undefined;
    const isSo = async () => {
      record = await new AnchorBook(connection).read().catch(() => record);
      return record?.anchors.length === count;
    };
    const told = () => `${count} anchors, not ${JSON.stringify(record)}; ${young.ann.said}`;
    await untilSeen(3 * MINUTES, told, isSo, LOOK_MS);
    if (record === undefined) throw new Error('no record');
    return record;
  }

  const untilSeat = (
    daemon: DaemonProcess,
    isSo: (seat: Readonly<Record<string, unknown>>) => boolean,
  ) =>
    untilSeen(
      3 * MINUTES,
      () => `another seat of ${daemon.name}; ${daemon.said.slice(-2_000)}`,
      async () => isSo(await young.seatOf(daemon)),
      LOOK_MS,
    );

  /** What was said of it, and that it is all there. */
  async function untilRunsAre(known: readonly string[]): Promise<void> {
    let runs: readonly string[] = [];
    const isSo = async () => {
      runs = (await mesh.runLog.runs().catch(() => [])).map(({ run }) => run);
      return known.every((run) => runs.includes(run));
    };
    await untilSeen(MINUTES, () => `${known} among ${runs}`, isSo, LOOK_MS);
  }

  it(
    'become one again while a run goes on, and three after that',
    async () => {
      const [ann, bob, cid] = young.peers;
      if (ann === undefined || bob === undefined || cid === undefined) throw new Error('nobody');
      const run = await publish(sleepers(TASKS));
      const done = () => run.of('attempt-succeeded').length;
      await run.until('attempt-succeeded', () => done() >= 5);
      const other = await young.setAnchors(bob);
      expect([other.code, other.err.includes('it is the one that stays')]).toEqual([1, true]);

      const one = await young.setAnchors(ann);
      expect(one.code, one.err).toBe(0);
      expect(one.out).toMatch(/^anchors: ann-\w+ \(paused \d+ ms\)$/m);
      console.log(one.out.trim());
      const record = await untilAnchors(1);
      expect([record.cluster, record.anchors[0]?.peer]).toEqual([undefined, ann.name]);
      for (const daemon of [bob, cid]) await untilSeat(daemon, ({ kind }) => kind === 'none');
      const before = done();
      await run.until('attempt-succeeded', () => done() >= before + 3);
      await three();

      expect((await run.untilEnd(5 * MINUTES)).state, run.told()).toBe('succeeded');
      expect(run.violations()).toEqual([]);
      expect(done()).toBe(TASKS);
      // They carry it, and not the one that carried it alone.
      await young.pullThePlug(ann);
      const after = await publish(sleepers(2));
      expect((await after.untilEnd(5 * MINUTES)).state, after.told()).toBe('succeeded');
      await untilRunsAre([run.run, after.run]);
    },
    15 * MINUTES,
  );

  it(
    'become one again wholly or not at all, whenever whoever does it is killed',
    async () => {
      const { ann } = young;
      const steps: readonly GatherStep[] = ['noted', 'copied', 'decided', 'left', 'serving'];
      const known: string[] = [];
      for (const step of steps) {
        const run = await publish(sleepers(1));
        known.push(run.run);
        await restart(ann, step);
        await untilAnchors(3);
        const killed = ann.end();
        const said = await young.setAnchors(ann);
        expect(said.code, `${step}: ${said.err}`).not.toBe(0);
        expect((await killed).signal, step).toBe('SIGKILL');
        await restart(ann, '');

        const wanted = step === 'noted' || step === 'copied' ? 3 : 1;
        await untilAnchors(wanted);
        await untilSeat(ann, ({ kind, attempt }) => kind === 'open' && attempt === undefined);
        expect((await run.untilEnd(5 * MINUTES)).state, run.told()).toBe('succeeded');
        if (wanted === 3) continue;
        for (const daemon of young.peers.slice(1))
          await untilSeat(daemon, ({ kind }) => kind === 'none');
        await three();
      }
      // And the copies that it has now are worth something.
      await young.pullThePlug(ann);
      const run = await publish(sleepers(2));
      expect((await run.untilEnd(5 * MINUTES)).state, run.told()).toBe('succeeded');
      await untilRunsAre(known);
    },
    25 * MINUTES,
  );
});

/** It ends itself at that step from now on. */
async function restart(daemon: DaemonProcess, step: GatherStep | ''): Promise<void> {
  Object.assign(daemon.options.env ?? {}, { PODMESH_KILL_GATHER_AT: step });
  await daemon.kill();
  await daemon.start();
}
