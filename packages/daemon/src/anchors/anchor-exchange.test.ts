import { type AnchorRecord, peerId } from '@podmesh/core';
import type { MeshConnection } from '@podmesh/jetstream';
import { expect, it, vi } from 'vitest';
import { AnchorExchange } from './anchor-exchange.ts';
import type { AnchorSeat } from './anchor-seat.ts';
import type { Seat } from './seat-file.ts';

const record = (generation: number, ...names: readonly string[]): AnchorRecord => ({
  generation,
  ...(names.length > 1 ? { cluster: 'c' } : {}),
  anchors: names.map((name) => ({
    ...{ peer: peerId(name), server: `${name}-g2-aa` },
    ...{ client: `${name}:4222`, route: `${name}:6222` },
  })),
});
const [before, truth] = [record(4, 'ann', 'bob', 'cid'), record(5, 'ann', 'bob', 'dan')];

vi.mock('@podmesh/jetstream', async (original) => ({
  ...(await original<object>()),
  AnchorBook: class {
    read = async () => truth;
  },
}));

/** An exchange of which the mesh says that it was done, and that waits for servers that answer nobody. */
async function waiting() {
  const seat = {
    ...{ peer: peerId('ann'), seat: { kind: 'open', record: before, attempt: truth } as Seat },
    get record(): AnchorRecord | undefined {
      return this.seat.kind === 'open' ? this.seat.record : undefined;
    },
  };
  let hear: (() => void) | undefined;
  const troubled = new Promise<void>((resolve) => {
    hear = resolve;
  });
  const exchange = new AnchorExchange({
    seat: seat as unknown as AnchorSeat,
    connection: {} as MeshConnection,
    system: async () => ({ close: async () => undefined }) as unknown as MeshConnection,
    order: async () => ({}),
    papers: () => Promise.reject(new Error('nobody is asked')),
    retire: async () => undefined,
    onStep: () => undefined,
    onTrouble: () => hear?.(),
    signal: new AbortController().signal,
  });
  const ended = exchange.recover().catch(() => undefined);
  await troubled;
  return { seat, exchange, ended };
}

it('that waits and is interrupted by the next one is gone on from', async () => {
  const { exchange, ended } = await waiting();
  expect(exchange.stuckAt).toEqual(truth);
  exchange.interrupt();
  await ended;
  expect(exchange.standing).toEqual(truth);
});

it('that waited for those who are lost is forgotten once what is here was rescued', async () => {
  const { seat, exchange, ended } = await waiting();
  exchange.interrupt();
  await ended;
  seat.seat = { kind: 'open', record: record(1004, 'ann') };
  expect([exchange.standing, exchange.stuckAt]).toEqual([record(1004, 'ann'), undefined]);
  // Neither is it where the next cluster has an exchange of its own.
  const next = { ...before, generation: 1005, cluster: 'd' };
  seat.seat = { kind: 'open', record: next, attempt: { ...next, generation: 1006 } };
  expect(exchange.standing).toEqual(next);
});
