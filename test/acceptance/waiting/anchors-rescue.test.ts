import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { AnchorRecord, Graph } from '@podmesh/core';
import type { RescueStep } from '@podmesh/daemon';
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

describe('two of three anchors that are gone for good', () => {
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

  function follow(run: ReturnType<typeof newRunId>): PublishedRun {
    const witness = () => young.peers.map(({ said }) => said.slice(-2_000)).join('\n');
    const published = PublishedRun.follow(mesh, run, witness);
    young.ending.defer(() => published.stop());
    return published;
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
    return follow(run);
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

  const seats = (): readonly [DaemonProcess, DaemonProcess, DaemonProcess] => {
    const [ann, bob, cid] = young.peers;
    if (ann === undefined || bob === undefined || cid === undefined) throw new Error('nobody');
    return [ann, bob, cid];
  };

  const rescue = (...lost: readonly DaemonProcess[]) =>
    young.type(young.ann, 'anchors', 'rescue', '--lost', lost.map(({ name }) => name).join(','));

  /** Each with all that it had when its plug was pulled: both together were the majority of three. */
  async function comeBack(...daemons: readonly DaemonProcess[]): Promise<void> {
    await Promise.all(daemons.map((daemon) => daemon.start()));
    for (const daemon of daemons) {
      expect((await young.seatOf(daemon)).kind).toBe('none');
      // It may be newer than what was rescued: nothing deletes it.
      const kept = await readdir(join(daemon.options.home, 'nats'));
      expect(kept.filter((name) => name.startsWith('over-g'))).not.toEqual([]);
    }
  }

  it(
    'are done without by name only, and found no second mesh when they come back',
    async () => {
      const [ann, bob, cid] = seats();
      const before = await publish(sleepers(3));
      expect((await before.untilEnd(5 * MINUTES)).state, before.told()).toBe('succeeded');
      const run = await publish(sleepers(40));
      await run.until('attempt-succeeded', () => run.of('attempt-succeeded').length >= 3);

      const enough = await rescue(bob);
      expect([enough.code, enough.err.includes('which is enough')]).toEqual([1, true]);
      await young.pullThePlug(bob);
      const there = await rescue(bob, cid);
      expect([there.code, there.err.includes(`${cid.name} answers at`)], there.err).toEqual([
        1,
        true,
      ]);
      await young.pullThePlug(cid);
      const doctor = await young.type(ann, 'doctor');
      expect(doctor.out).toContain(`podmesh anchors rescue --lost ${bob.name},${cid.name}`);

      const said = await rescue(bob, cid);
      expect(said.code, said.err).toBe(0);
      expect(said.out).toContain('What others than this machine had stored');
      const record = await untilAnchors(1);
      expect([record.cluster, record.anchors[0]?.peer]).toEqual([undefined, ann.name]);
      expect((await run.untilEnd(5 * MINUTES)).state, run.told()).toBe('succeeded');
      expect(run.violations()).toEqual([]);

      await comeBack(bob, cid);
      const after = await publish(sleepers(6));
      expect((await after.untilEnd(5 * MINUTES)).state, after.told()).toBe('succeeded');
      expect((await untilAnchors(1)).generation).toBe(record.generation);
      await three();
      await young.pullThePlug(ann);
      const runs = new Set<string>();
      const isAllThere = async () => {
        for (const one of await mesh.runLog.runs().catch(() => [])) runs.add(one.run);
        return [before, run, after].every((one) => runs.has(one.run));
      };
      await untilSeen(3 * MINUTES, () => `all runs among ${[...runs]}`, isAllThere, LOOK_MS);
    },
    15 * MINUTES,
  );

  it(
    'are done without by one whose own power was cut, too',
    async () => {
      const [ann, bob, cid] = seats();
      const before = await publish(sleepers(1));
      expect((await before.untilEnd(5 * MINUTES)).state, before.told()).toBe('succeeded');
      for (const daemon of [ann, bob, cid]) await young.pullThePlug(daemon);
      const said = await rescue(bob, cid);
      expect([said.code, said.out.includes('as soon as it is started')], said.err).toEqual([
        0,
        true,
      ]);
      await ann.start();
      const record = await untilAnchors(1);
      expect([record.cluster, record.anchors[0]?.peer]).toEqual([undefined, ann.name]);
      const after = await publish(sleepers(1));
      expect((await after.untilEnd(5 * MINUTES)).state, after.told()).toBe('succeeded');
      const runs = (await mesh.runLog.runs()).map(({ run }) => String(run));
      for (const { run } of [before, after]) expect(runs).toContain(String(run));
      await comeBack(bob, cid);
    },
    15 * MINUTES,
  );

  it(
    'are done without, whenever the one that is left is killed',
    async () => {
      const [ann, bob, cid] = seats();
      const steps: readonly RescueStep[] = ['noted', 'agreed', 'copied', 'decided'];
      const known: string[] = [];
      for (const step of steps) {
        const run = await publish(sleepers(1));
        known.push(run.run);
        expect((await run.untilEnd(5 * MINUTES)).state, run.told()).toBe('succeeded');
        Object.assign(ann.options.env ?? {}, { PODMESH_KILL_RESCUE_AT: step });
        await ann.kill();
        await ann.start();
        await untilAnchors(3);
        for (const daemon of [bob, cid]) await young.pullThePlug(daemon);
        const killed = ann.end();
        expect((await rescue(bob, cid)).code).not.toBe(0);
        expect((await killed).signal, step).toBe('SIGKILL');
        await ann.start();

        await untilAnchors(1);
        expect((await young.seatOf(ann)).kind).toBe('open');
        await comeBack(bob, cid);
        await three();
      }
      const runs = (await mesh.runLog.runs()).map(({ run }) => String(run));
      for (const one of known) expect(runs).toContain(one);
    },
    25 * MINUTES,
  );
});
