import type { PeerOrder, PeerOrderAnswer, PeerOrders, SleepingPeers } from '@podmesh/core';
import { PEER_ORDER_ANSWER_MS, type PeerId } from '@podmesh/core';
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
          { kind: 'wake', macs: ['00:11:22:aa:bb:cc'], by: 'bob' },
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

    it('remembers who sleeps until that is taken back', async () => {
      const { sleepers } = use().ports;
      const [one, two] = [samplePeer(), samplePeer()];
      const sleeper = ({ peer, capacity }: typeof one) => ({
        peer,
        since: '2026-11-22T01:00:00Z',
        offering: { capacity, arch: 'amd64', labels: ['a=b'], runtimes: ['podman' as const] },
        links: [{ mac: '00:11:22:aa:bb:cc', network: '10.0.0.0/24' }],
      });
      await sleepers.note(sleeper(one));
      await sleepers.note(sleeper(two));
      await sleepers.note(sleeper(two));
      const listed = async () => {
        const mine = new Set([one.peer, two.peer]);
        return (await use().other.sleepers.list()).filter(({ peer }) => mine.has(peer));
      };
      expect(new Set(await listed())).toEqual(new Set([sleeper(one), sleeper(two)]));
      await sleepers.forget(one.peer);
      await sleepers.forget(one.peer);
      expect(await listed()).toEqual([sleeper(two)]);
    });
  });
}
