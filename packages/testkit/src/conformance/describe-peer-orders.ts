import {
  PEER_ORDER_ANSWER_MS,
  type PeerEntry,
  type PeerId,
  type PeerOrder,
  type PeerOrderAnswer,
  type PeerOrders,
  type SleepingPeer,
  type SleepingPeers,
} from '@podmesh/core';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { samplePeer } from '../samples.ts';
import { type Bench, type MakeBench, until, useBench, within } from './bench.ts';

type OrdersBench = Bench<{ readonly orders: PeerOrders; readonly sleepers: SleepingPeers }>;
type Answer = Exclude<PeerOrderAnswer, { readonly kind: 'silent' }>;

/** What every way to tell a single peer something must do. */
export function describePeerOrders(name: string, make: MakeBench<OrdersBench>): void {
  describe(`${name}: PeerOrders`, () => {
    const use = useBench(make);
    let stop = new AbortController();
    beforeEach(() => {
      stop = new AbortController();
    });
    afterEach(() => stop.abort());

    const order: PeerOrder = { kind: 'drain', deadlineMs: 600_000, by: 'ann@desk' };
    const ask = (peer: PeerId, what: PeerOrder = order): Promise<PeerOrderAnswer> =>
      within(use(), 2 * PEER_ORDER_ANSWER_MS, use().ports.orders.ask(peer, what, stop.signal));

    async function join(answer: Answer) {
      const { peer } = samplePeer();
      const obeyed: PeerOrder[] = [];
      const obey = async (given: PeerOrder): Promise<Answer> => {
        obeyed.push(given);
        return answer;
      };
      void use().other.orders.serve(peer, obey, stop.signal);
      await until(use(), async () => (await ask(peer)).kind !== 'silent');
      return { peer, obeyed };
    }

    it.each<Answer>([{ kind: 'done' }, { kind: 'refused', message: 'not today' }])(
      'tells that peer alone, and its answer back: %j',
      async (answer) => {
        const [one, other] = [await join(answer), await join({ kind: 'done' })];
        const others = other.obeyed.length;
        const orders: readonly PeerOrder[] = [
          order,
          { kind: 'undrain', by: 'bob' },
          { kind: 'wake', sleeper: samplePeer().peer, by: 'bob' },
        ];
        for (const told of orders) {
          expect(await ask(one.peer, told)).toEqual(answer);
          expect(one.obeyed.at(-1)).toEqual(told);
        }
        expect(other.obeyed).toHaveLength(others);
      },
    );

    it('is silent where nobody answers, and not for long', async () => {
      expect(await ask(samplePeer().peer)).toEqual({ kind: 'silent' });
    });

    it('ends with its signal, on both sides', async () => {
      const end = new AbortController();
      const { peer } = samplePeer();
      const serving = use().other.orders.serve(peer, async () => ({ kind: 'done' }), end.signal);
      const asking = use().ports.orders.ask(samplePeer().peer, order, end.signal);
      end.abort(new Error('enough'));
      await expect(asking).rejects.toThrow('enough');
      await serving;
    });
  });

  describe(`${name}: SleepingPeers`, () => {
    const use = useBench(make);

    const sleeperOf = ({ peer, capacity }: PeerEntry): SleepingPeer => ({
      peer,
      hostname: 'attic',
      since: '2026-11-22T01:00:00Z',
      offering: { capacity, arch: 'amd64', labels: ['a=b'], runtimes: ['podman'] },
      links: [{ mac: '00:11:22:aa:bb:cc', network: '10.0.0.0/24' }],
      quiet: [{ fromMinute: 0, toMinute: 360 }],
      timeZone: 'Europe/Paris',
    });
    /** As others see it. */
    const listed = async (...peers: readonly PeerId[]) =>
      (await use().other.sleepers.list()).filter(({ sleeper }) => peers.includes(sleeper.peer));

    it('remembers who sleeps until that is taken back', async () => {
      const { sleepers } = use().ports;
      const [one, two] = [sleeperOf(samplePeer()), sleeperOf(samplePeer())];
      for (const sleeper of [one, two, two]) await sleepers.note(sleeper);
      const both = (await listed(one.peer, two.peer)).map(({ sleeper }) => sleeper);
      expect(new Set(both)).toEqual(new Set([one, two]));
      await sleepers.forget(one.peer);
      await sleepers.forget(one.peer);
      const [left, ...more] = await listed(one.peer, two.peer);
      expect([left?.sleeper, more]).toEqual([two, []]);
    });

    it('lets one of those who read the same entry change it, and nobody once it is gone', async () => {
      const sleeper = sleeperOf(samplePeer());
      await use().ports.sleepers.note(sleeper);
      const [read] = await listed(sleeper.peer);
      const revision = read?.revision ?? 0;
      const callBy = (by: PeerId) => ({ ...sleeper, calls: { count: 1, by } });
      const callers = [use().ports, use().other].map(async ({ sleepers }) => {
        const { peer } = samplePeer();
        return { peer, isFirst: await sleepers.replace(callBy(peer), revision) };
      });
      const first = (await Promise.all(callers)).filter(({ isFirst }) => isFirst);
      expect(first).toHaveLength(1);
      const [now] = await listed(sleeper.peer);
      expect(now?.sleeper.calls).toEqual({ count: 1, by: first[0]?.peer });
      await use().ports.sleepers.forget(sleeper.peer);
      expect(await use().other.sleepers.replace(sleeper, now?.revision ?? 0)).toBe(false);
      expect(await listed(sleeper.peer)).toEqual([]);
    });
  });
}
