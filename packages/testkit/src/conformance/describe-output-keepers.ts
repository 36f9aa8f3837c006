import {
  artifactId,
  KEEP_ANSWER_MS,
  type KeepAnswer,
  type KeepingPeer,
  type KeepOrder,
  type KeepRelease,
  type OutputKeepers,
  type PeerId,
  runId,
  taskId,
} from '@podmesh/core';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { freshAction, samplePeer } from '../samples.ts';
import { type Bench, type MakeBench, until, useBench, within } from './bench.ts';

type KeepersBench = Bench<{ readonly keepers: OutputKeepers }>;

/** What every way to order outputs to be kept must do. */
export function describeOutputKeepers(name: string, make: MakeBench<KeepersBench>): void {
  describe(`${name}: OutputKeepers`, () => {
    const use = useBench(make);
    let stop = new AbortController();
    beforeEach(() => {
      stop = new AbortController();
    });
    afterEach(() => stop.abort());

    const order: KeepOrder = {
      run: runId('keptkeptkept'),
      task: taskId('a:3'),
      outputs: [
        { digest: artifactId(freshAction()), kind: 'file', bytes: 2 ** 33 },
        { digest: artifactId(freshAction()), kind: 'dir', bytes: 0 },
      ],
    };

    const ask = (peer: PeerId, given = order): Promise<KeepAnswer> =>
      within(use(), 2 * KEEP_ANSWER_MS, use().ports.keepers.keep(peer, given, stop.signal));

    /** A peer behind the other connection; resolves when it answers. */
    async function join(answer: ReturnType<KeepingPeer['keep']>) {
      const { peer } = samplePeer();
      const orders: KeepOrder[] = [];
      const releases: KeepRelease[] = [];
      const keeper: KeepingPeer = {
        keep: (given) => {
          orders.push(given);
          return answer;
        },
        release: (given) => void releases.push(given),
      };
      void use().other.keepers.serve(peer, keeper, stop.signal);
      await until(use(), async () => (await ask(peer)).kind !== 'silent');
      return { peer, orders, releases };
    }

    it.each<ReturnType<KeepingPeer['keep']>>([
      { kind: 'kept' },
      { kind: 'working' },
      { kind: 'refused', message: 'the disk /home is full' },
    ])('gives the order to that peer alone, and its answer back: %j', async (answer) => {
      const [one, other] = [await join(answer), await join({ kind: 'kept' })];
      const others = other.orders.length;
      expect(await ask(one.peer)).toEqual(answer);
      expect(one.orders.at(-1)).toEqual(order);
      expect(other.orders).toHaveLength(others);
      const apart: KeepOrder = { ...order, apart: true, attempt: 2 };
      expect(await ask(one.peer, apart)).toEqual(answer);
      expect(one.orders.at(-1)).toEqual(apart);
    });

    it('is silent where nobody answers, and not for long', async () => {
      expect(await ask(samplePeer().peer)).toEqual({ kind: 'silent' });
    });

    it('ends with its signal, on both sides', async () => {
      const end = new AbortController();
      const { peer } = samplePeer();
      const keeper: KeepingPeer = { keep: () => ({ kind: 'kept' }), release: () => undefined };
      const serving = use().other.keepers.serve(peer, keeper, end.signal);
      const asking = use().ports.keepers.keep(samplePeer().peer, order, end.signal);
      end.abort(new Error('enough'));
      await expect(asking).rejects.toThrow('enough');
      await serving;
      await use().other.keepers.serve(peer, keeper, end.signal);
    });

    it('tells everybody what is released, however much it is', async () => {
      const [one, other] = [await join({ kind: 'kept' }), await join({ kind: 'kept' })];
      const tasks = Array.from({ length: 1_200 }, (_, at) => taskId(`a:${at}`));
      use().ports.keepers.release({ run: order.run, tasks, as: 'spent' });
      for (const { releases } of [one, other]) {
        await until(use(), async () => releases.flatMap((told) => told.tasks).length >= 1_200);
        expect(releases.flatMap((told) => told.tasks)).toEqual(tasks);
        expect(releases[0]).toMatchObject({ run: order.run, as: 'spent' });
      }
    });
  });
}
