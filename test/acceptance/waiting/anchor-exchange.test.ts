import type { Graph } from '@podmesh/core';
import type { ExchangeStep } from '@podmesh/daemon';
import { AnchorBook, type Mesh, type MeshConnection, openMesh } from '@podmesh/jetstream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { newRunId } from '../../bench/bench-mesh.ts';
import { putGraph } from '../../bench/put-graph.ts';
import { busyboxGraph, shell } from '../../process-kit/busybox-graph.ts';
import type { DaemonProcess } from '../../process-kit/daemon-process.ts';
import { PublishedRun } from '../../process-kit/published-run.ts';
import { untilDone, untilSeen, within } from '../../process-kit/within.ts';
import { untilGeneration, YoungMesh } from '../../process-kit/young-mesh.ts';

const MINUTES = 60_000;
const LOOK_MS = 500;
const TASKS = 60;

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

describe('the anchors of a cluster', () => {
  let young: YoungMesh;
  let connection: MeshConnection;
  let mesh: Mesh;

  beforeEach(() => {
    young = new YoungMesh();
  });
  afterEach(() => young.ending.end(), 8 * MINUTES);

  /** Three of them, and a client. */
  async function begin(env: Readonly<Record<string, string>> = {}) {
    await young.start(env);
    // A copy that fails, as where two find the same port of one machine free, leaves the mesh where it is.
    let said = '';
    const isMoved = async () => {
      const { code, err } = await young.setAnchors();
      said = err;
      return code === 0;
    };
    await untilSeen(3 * MINUTES, () => `three anchors; ${said}`, isMoved, LOOK_MS);
    connection = await young.connect();
    mesh = openMesh(connection);
    young.ending.defer(() => mesh.stop());
    const [ann, bob, cid] = young.peers;
    if (ann === undefined || bob === undefined || cid === undefined) throw new Error('nobody');
    return { ann, bob, cid };
  }

  /** As the command line does it: again, while leaders are elected. */
  async function publish(graph: Graph): Promise<PublishedRun> {
    const run = newRunId();
    const put = () => putGraph(mesh, run, graph);
    await untilDone(3 * MINUTES, () => `run ${run} to be taken`, put);
    const witness = () => young.peers.map(({ said }) => said.slice(-2_000)).join('\n');
    const published = PublishedRun.follow(mesh, run, witness);
    young.ending.defer(() => published.stop());
    return published;
  }

  /** Typed again while leaders are elected: nobody answers then, and nothing is begun. */
  async function change(generation: number, action: string, ...names: readonly string[]) {
    // Nobody's heartbeat was heard meanwhile.
    const come = action === 'set' ? names : names.slice(1);
    let listed: readonly string[] = [];
    const areListed = async () => {
      listed = await mesh.peers.list().then(
        (all) => all.map(({ peer }) => String(peer)),
        (error: unknown) => [String(error)],
      );
      return come.every((name) => listed.includes(name));
    };
    await untilSeen(
      8 * MINUTES,
      () => `${come} to be listed; so are ${listed}`,
      areListed,
      LOOK_MS,
    );
    await young.well(young.ann, 'anchors', action, ...names);
    return untilGeneration(connection, generation);
  }

  async function runsKnown(): Promise<readonly string[]> {
    const list = () => mesh.runLog.runs();
    const runs = await untilDone(3 * MINUTES, () => 'the runs to be listed', list);
    return runs.map(({ run }) => String(run));
  }

  const namesOf = (...daemons: readonly DaemonProcess[]) => daemons.map(({ name }) => name);

  it(
    'one that is gone and one that works are replaced, three become five and three again, while a run goes on',
    async () => {
      const { ann, bob, cid } = await begin();
      const dan = await young.add('dan');
      const eve = await young.add('eve', {}, { role: 'anchor' });
      const fay = await young.add('fay');
      const run = await publish(sleepers(TASKS));
      const done = () => run.of('attempt-succeeded').length;
      await run.until('attempt-succeeded', () => done() >= 5);

      await young.pullThePlug(cid);
      expect(await change(3, 'replace', cid.name, dan.name)).toBe(3);
      expect(await change(4, 'retire', bob.name, eve.name)).toBe(3);
      const own = await young.type(ann, 'anchors', 'retire', ann.name, fay.name);
      expect([own.code, own.err.includes('it stays one')]).toEqual([1, true]);
      const five = namesOf(ann, bob, dan, eve, fay);
      expect(await change(5, 'set', ...five)).toBe(5);
      const members = await young.well(fay, 'members');
      expect(members).toMatch(new RegExp(`${fay.name} +anchor `));
      expect(members).toMatch(new RegExp(`${cid.name} +peer `));

      // Everything is there five times: any two may go.
      await young.pullThePlug(dan);
      await young.pullThePlug(bob);
      expect((await run.untilEnd(5 * MINUTES)).state, run.told()).toBe('succeeded');
      expect(run.violations()).toEqual([]);
      expect(done()).toBe(TASKS);
      const told = await young.well(ann, 'anchors');
      expect(told).toContain('survives no further loss');
      expect(told).toContain(`podmesh anchors replace ${dan.name} NEW`);
      expect(await change(6, 'set', ...namesOf(ann, eve, fay))).toBe(3);

      // And those who are left really carry it: without another of them they have to agree.
      await young.pullThePlug(fay);
      const after = await publish(sleepers(3));
      expect((await after.untilEnd()).state, after.told()).toBe('succeeded');
      expect(await runsKnown()).toContain(run.run);
    },
    15 * MINUTES,
  );

  it(
    'are exchanged wholly or not at all, whenever whoever does it is killed',
    async () => {
      const steps: readonly ExchangeStep[] = ['reserved', 'noted', 'joined', 'recorded', 'left'];
      const { ann, bob, cid } = await begin();
      const dan = await young.add('dan');
      const known: string[] = [];
      let [goes, comes] = [cid, dan];
      for (const step of steps) {
        const run = await publish(sleepers(1));
        known.push(run.run);
        const before = await recordOf(connection);
        await restart(ann, step);
        const killed = ann.end();
        const words = ['replace', goes.name, comes.name];
        const said = await young.answer(ann, 'anchors', ...words);
        expect(said.code, said.out + said.err).not.toBe(0);
        const death = await within(3 * MINUTES, () => `a death; ${said.out}${said.err}`, killed);
        expect(death.signal, step).toBe('SIGKILL');
        await restart(ann, '');

        expect((await run.untilEnd()).state, run.told()).toBe('succeeded');
        const wanted = step === 'reserved' || step === 'noted' ? goes : comes;
        await untilSeen(
          8 * MINUTES,
          () => `${wanted.name} to be an anchor after "${step}"; ${ann.said.slice(-2_000)}`,
          async () =>
            isIn(await recordOf(connection), ann, bob, wanted) && (await isSettled(ann, wanted)),
          LOOK_MS,
        );
        const after = await recordOf(connection);
        expect(after.generation > before.generation, step).toBe(step !== 'reserved');
        if (wanted === comes) [goes, comes] = [comes, goes];
      }
      // Whoever came and went is free to come again, and the mesh survives the loss of one.
      await young.well(ann, 'anchors', 'replace', goes.name, comes.name);
      await young.pullThePlug(bob);
      const run = await publish(sleepers(2));
      expect((await run.untilEnd()).state, run.told()).toBe('succeeded');
      const runs = await runsKnown();
      for (const one of known) expect(runs).toContain(one);
    },
    20 * MINUTES,
  );

  /** Whether nothing is under way any more: a change to what there is says so. */
  async function isSettled(ann: DaemonProcess, third: DaemonProcess): Promise<boolean> {
    const seat = await young.seatOf(ann);
    return seat.attempt === undefined && JSON.stringify(seat.record).includes(third.name);
  }
});

/** It ends itself at that step from now on. */
async function restart(daemon: DaemonProcess, step: ExchangeStep | ''): Promise<void> {
  Object.assign(daemon.options.env ?? {}, { PODMESH_KILL_EXCHANGE_AT: step });
  await daemon.kill();
  await daemon.start();
}

const isIn = (
  { anchors }: { readonly anchors: readonly { readonly peer: string }[] },
  ...daemons: readonly DaemonProcess[]
): boolean =>
  anchors.length === daemons.length &&
  daemons.every(({ name }) => anchors.some(({ peer }) => peer === name));

async function recordOf(connection: MeshConnection) {
  const read = async () => {
    const record = await new AnchorBook(connection).read();
    if (record === undefined) throw new Error('no record');
    return record;
  };
  return untilDone(3 * MINUTES, () => 'the record of anchors', read);
}
