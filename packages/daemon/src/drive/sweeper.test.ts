import { applyEvent, initialRunState, type RunState, taskId } from '@podmesh/core';
import { freshLane, sampleOffer, samplePeer, sampleStarted } from '@podmesh/testkit';
import { expect, it } from 'vitest';
import { graphOf, newBench, publishGraph, silent } from '../daemon.test-kit.ts';
import { type Offered, Sweeper } from './sweeper.ts';

function newCase() {
  const bench = newBench();
  const graph = graphOf({ id: 'a' }, { id: 'b' });
  const run = publishGraph(bench.mesh, graph);
  const state: RunState = initialRunState(graph);
  const offered: Offered = new Map();
  const sweeper = new Sweeper({ ...bench.ports, logger: silent }, run, offered);
  const started = sampleStarted(run, taskId('a'));
  const start = () => {
    bench.mesh.log.append(started, 0);
    for (const logged of bench.mesh.log.eventsOf(run)) applyEvent(state, logged);
  };
  const last = () => bench.mesh.log.lastOfTask(run, taskId('a'))?.event.kind;
  return { ...bench, run, state, offered, sweeper, started, start, last };
}

it('what vanished is offered again after the second look, and only that', async () => {
  const { ports, mesh, run, state, offered, sweeper } = newCase();
  const lane = freshLane();
  mesh.lanes.open(lane, sampleOffer(run, lane).requirements);
  await ports.offers.publish([{ ...sampleOffer(run, lane), task: taskId('a') }]);
  offered.set(0, { attempt: 1, age: 0 }).set(1, { attempt: 1, age: 0 });
  expect(await sweeper.sweep(state)).toBe(false);
  expect(await sweeper.sweep(state)).toBe(true);
  expect([...offered.keys()]).toEqual([0]);
});

it('an attempt that nobody holds, and whose offer is gone, is declared lost', async () => {
  const { state, sweeper, start, last } = newCase();
  start();
  await sweeper.sweep(state);
  expect(last()).toBe('attempt-started');
  await sweeper.sweep(state);
  expect(last()).toBe('attempt-lost');
});

it('an attempt that its peer speaks of is left alone', async () => {
  const { ports, state, sweeper, started, start, last } = newCase();
  start();
  await ports.peers.announce({ ...samplePeer('peer-a'), claims: [started.claim] });
  for (let look = 0; look < 3; look += 1) await sweeper.sweep(state);
  expect(last()).toBe('attempt-started');
});
