import { type KeepOrder, peerId, runId, taskId } from '@podmesh/core';
import { DirectProcess, FakeMesh, sampleArtifact, VirtualClock } from '@podmesh/testkit';
import { describe, expect, it } from 'vitest';
import { graphOf, publishGraph, settled, silent } from '../daemon.test-kit.ts';
import { KeepOrders } from './keep-orders.ts';
import { Keeping } from './keeping.ts';

const run = runId('abcdefghij12');
const { ref } = sampleArtifact(Buffer.from('large'));
const orderOf = (task: string): KeepOrder => ({ run, task: taskId(task), outputs: [ref] });

/** Copies that come when the test says so. */
function newOrders() {
  const clock = new VirtualClock();
  const process = new DirectProcess('p', clock);
  const here = new Set<string>();
  const begun: { task: string; signal: AbortSignal; end: (error?: Error) => void }[] = [];
  const copies = {
    has: ({ task }: KeepOrder) => here.has(task),
    bring: ({ task }: KeepOrder, signal: AbortSignal) =>
      new Promise<void>((resolve, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason));
        const end = (error?: Error) => {
          if (error !== undefined) return reject(error);
          here.add(task);
          resolve();
        };
        begun.push({ task, signal, end });
      }),
  };
  const release = async () => undefined;
  const orders = new KeepOrders({ copies, release, clock: process.clock, logger: silent });
  return { clock, process, orders, begun, here };
}

describe('orders to keep something', () => {
  it('are worked on beside the answer, once, however often they are repeated', async () => {
    const { orders, begun } = newOrders();
    expect(orders.keep(orderOf('a'))).toEqual({ kind: 'working' });
    expect(orders.keep(orderOf('a'))).toEqual({ kind: 'working' });
    await expect.poll(() => begun.length).toBe(1);
    begun[0]?.end();
    await expect.poll(() => orders.keep(orderOf('a'))).toEqual({ kind: 'kept' });
    expect(begun).toHaveLength(1);
  });

  it('that fail say why, and are tried again when they come again', async () => {
    const { orders, begun } = newOrders();
    orders.keep(orderOf('a'));
    await expect.poll(() => begun.length).toBe(1);
    begun[0]?.end(new Error('the disk /home is full'));
    const refused = { kind: 'refused', message: 'the disk /home is full' };
    await expect.poll(() => orders.keep(orderOf('a'))).toEqual(refused);
    expect(orders.keep(orderOf('a'))).toEqual({ kind: 'working' });
  });

  it('are worked on two at a time, and leave their places to the next', async () => {
    const { orders, begun } = newOrders();
    for (const task of ['a', 'b', 'c', 'd']) orders.keep(orderOf(task));
    await expect.poll(() => begun.map(({ task }) => task)).toEqual(['a', 'b']);
    begun[0]?.end(new Error('no'));
    begun[1]?.end();
    await expect.poll(() => begun.map(({ task }) => task)).toEqual(['a', 'b', 'c', 'd']);
  });

  it('of a success and of what attempts left are two, whatever their bytes', async () => {
    const { orders, begun } = newOrders();
    orders.keep(orderOf('a'));
    orders.keep({ ...orderOf('a'), apart: true });
    await expect.poll(() => begun.length).toBe(2);
  });

  it('that nobody repeats are given up', async () => {
    const { orders, begun, clock } = newOrders();
    orders.keep(orderOf('a'));
    orders.keep(orderOf('b'));
    await expect.poll(() => begun.length).toBe(2);
    await clock.advance(40_000);
    orders.keep(orderOf('b'));
    await clock.advance(40_000);
    orders.endLeftAlone();
    expect(begun.map(({ signal }) => signal.aborted)).toEqual([true, false]);
  });

  it('end with the peer, also those that wait for their turn', async () => {
    const { orders, begun } = newOrders();
    for (const task of ['a', 'b', 'c']) orders.keep(orderOf(task));
    await orders.stop();
    await orders.stop();
    expect(begun.every(({ signal }) => signal.aborted)).toBe(true);
    expect(orders.keep(orderOf('e'))).toMatchObject({ kind: 'refused' });
  });
});

it('a peer lets go what it holds for runs that are over, or that nobody knows any more', async () => {
  const { clock, process, orders } = newOrders();
  const mesh = new FakeMesh(clock);
  const open = publishGraph(mesh, graphOf({ id: 'a' }));
  const held = new Set([open, run]);
  const { keepers, log } = mesh.portsFor(process);
  const pins = {
    runs: held,
    releaseRun: async (over: typeof run) => void held.delete(over),
  };
  const parts = { peer: peerId('p'), keepers, orders, pins, log, logger: silent };
  const keeping = new Keeping({ ...parts, clock: process.clock });
  keeping.start();
  await clock.advance(5 * 60_000);
  expect([...held]).toEqual([open]);
  await settled(clock, keeping.stop());
  await keeping.stop();
});
