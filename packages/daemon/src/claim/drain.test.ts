import type { KeepOrder, RunId } from '@podmesh/core';
import type { ContainerScript } from '@podmesh/testkit';
import { describe, expect, it } from 'vitest';
import {
  CAPACITY,
  eventsOf,
  graphOf,
  newBench,
  peerParts,
  publishGraph,
  settled,
} from '../daemon.test-kit.ts';
import { Peer } from '../peer.ts';
import type { PeerParts } from '../peer-parts.ts';

const lasting =
  (durationMs: number): ContainerScript =>
  () => ({ kind: 'runs', durationMs });

function newPeer(
  name: string,
  script: ContainerScript,
  joining?: Parameters<typeof newBench>[2],
  more: Partial<PeerParts> = {},
) {
  const bench = newBench(script, name, joining);
  const peer = new Peer({ ...peerParts(bench, name), ...more }, CAPACITY);
  const find = async () =>
    (await settled(bench.clock, bench.ports.peers.list())).find((entry) => entry.peer === name);
  return { ...bench, peer, find };
}

/** `ann` with four tasks under way, and `bob`, who came later. */
async function twoPeers(durationMs: number, more: Partial<PeerParts> = {}) {
  const ann = newPeer('ann', lasting(durationMs), undefined, more);
  const run = publishGraph(ann.mesh, graphOf({ id: 'a', count: 4 }, { id: 'b', after: ['a'] }));
  ann.mesh.drives.publish(run);
  await settled(ann.clock, ann.peer.start());
  await ann.clock.advance(2_000);
  const bob = newPeer('bob', lasting(durationMs), ann);
  await settled(ann.clock, bob.peer.start());
  const stop = () => settled(ann.clock, Promise.all([ann.peer.stop(), bob.peer.stop()]));
  return { ann, bob, run, stop, clock: ann.clock, mesh: ann.mesh };
}

const startedBy = (mesh: Parameters<typeof eventsOf>[0], run: RunId, peer: string) =>
  eventsOf(mesh, run).filter((event) => event.kind === 'attempt-started' && event.peer === peer);

describe('a peer that is drained', () => {
  it('finishes what it has, gives its drives away at once, and takes nothing more', async () => {
    const { ann, run, stop, clock, mesh } = await twoPeers(20_000);
    expect((await ann.find())?.driving).toBe(1);
    const begun = startedBy(mesh, run, 'ann').length;
    let isDone = false;
    const done = ann.peer.drain({ by: 'me', deadlineMs: 600_000 }).then(() => {
      isDone = true;
    });
    await clock.advance(4_000);
    expect(isDone).toBe(false);
    expect(await ann.find()).toMatchObject({
      driving: 0,
      paused: 'draining (me)',
      drain: { by: 'me', state: 'draining', unkept: 0 },
    });
    await settled(clock, done);
    await clock.advance(60_000);
    const events = eventsOf(mesh, run);
    expect(events.at(-1)).toMatchObject({ kind: 'run-ended', state: 'succeeded' });
    expect(events.filter((event) => event.kind === 'attempt-failed')).toEqual([]);
    expect(startedBy(mesh, run, 'ann')).toHaveLength(begun);
    expect(await ann.find()).toMatchObject({ paused: 'drained (me)', drain: { state: 'drained' } });
    await stop();
  });

  it('gives back what runs at the deadline, which charges nobody, and others do it', async () => {
    const { ann, run, stop, clock, mesh } = await twoPeers(30_000);
    await settled(clock, ann.peer.drain({ by: 'me', deadlineMs: 5_000 }));
    expect(ann.host.containers).toEqual([]);
    await clock.advance(120_000);
    const events = eventsOf(mesh, run);
    const failed = events.filter((event) => event.kind === 'attempt-failed');
    expect(failed).toHaveLength(4);
    expect(failed[0]?.failure).toMatchObject({
      kind: 'drained',
      message: expect.stringContaining('its machine was drained'),
    });
    // None of them has retries of its own.
    expect(events.at(-1)).toMatchObject({ kind: 'run-ended', counts: { succeeded: 5 } });
    expect(startedBy(mesh, run, 'bob')).toHaveLength(5);
    await stop();
  });

  it('claims again when that is taken back, in the middle as well', async () => {
    const { ann, bob, run, stop, clock, mesh } = await twoPeers(20_000);
    await settled(clock, bob.peer.stop());
    const done = ann.peer.drain({ by: 'me', deadlineMs: 600_000 });
    await clock.advance(1_000);
    ann.peer.undrain();
    await settled(clock, done);
    expect(ann.peer.drained).toBeUndefined();
    await clock.advance(120_000);
    const events = eventsOf(mesh, run);
    expect(events.at(-1)).toMatchObject({ kind: 'run-ended', state: 'succeeded' });
    expect(events.filter((event) => event.kind === 'attempt-failed')).toEqual([]);
    await stop();
  });

  it('takes a shorter deadline instead of the one before', async () => {
    const { ann, run, stop, clock, mesh } = await twoPeers(300_000);
    void ann.peer.drain({ by: 'me', deadlineMs: 600_000 });
    await clock.advance(1_000);
    await settled(clock, ann.peer.drain({ by: 'you', deadlineMs: 1_000 }));
    expect(ann.peer.drained).toEqual({ by: 'you', state: 'drained', unkept: 0 });
    const failed = eventsOf(mesh, run).filter((event) => event.kind === 'attempt-failed');
    expect(failed).toHaveLength(4);
    await stop();
  });

  it('was drained before its daemon was started again: begins nothing', async () => {
    const drained = { by: 'me', deadlineMs: 0 };
    const { peer, mesh, clock, host, find } = newPeer('p', lasting(1_000), undefined, { drained });
    mesh.drives.publish(publishGraph(mesh, graphOf({ id: 'a' })));
    await settled(clock, peer.start());
    await clock.advance(60_000);
    expect(host.executions).toEqual([]);
    expect((await find())?.drain).toEqual({ by: 'me', state: 'drained', unkept: 0 });
    peer.undrain();
    await clock.advance(60_000);
    expect(host.executions).toHaveLength(1);
    await settled(clock, peer.stop());
  });

  it('is not drained before others have what only it had, and says how much that is', async () => {
    const rounds = [2, 1, 1, 0];
    const handOver = {
      round: async () => ({ left: rounds.shift() ?? 0, isHopeless: false }),
    } as unknown as NonNullable<PeerParts['handOver']>;
    const { peer, clock, find } = newPeer('p', lasting(1), undefined, { handOver });
    await settled(clock, peer.start());
    const done = peer.drain({ by: 'me', deadlineMs: 0 });
    await clock.advance(500);
    expect((await find())?.drain).toEqual({ by: 'me', state: 'draining', unkept: 2 });
    await settled(clock, done);
    expect(rounds).toEqual([]);
    expect(peer.drained).toEqual({ by: 'me', state: 'drained', unkept: 0 });
    await settled(clock, peer.stop());
  });

  it('where nobody takes it may go all the same, says so, and tries on', async () => {
    const orders: KeepOrder[][] = [];
    let hopeless = true;
    const handOver = {
      round: async () => {
        orders.push([]);
        return hopeless ? { left: 3, isHopeless: true } : { left: 0, isHopeless: false };
      },
    } as unknown as NonNullable<PeerParts['handOver']>;
    const { peer, clock } = newPeer('p', lasting(1), undefined, { handOver });
    await settled(clock, peer.start());
    await settled(clock, peer.drain({ by: 'me', deadlineMs: 0 }));
    expect(peer.drained).toEqual({ by: 'me', state: 'drained', unkept: 3 });
    hopeless = false;
    await clock.advance(20_000);
    expect(peer.drained).toEqual({ by: 'me', state: 'drained', unkept: 0 });
    expect(orders).toHaveLength(2);
    await settled(clock, peer.stop());
  });

  it('whose machine goes to sleep has given everything back before, and goes on when it is awake', async () => {
    const { ann, bob, run, stop, clock, mesh } = await twoPeers(30_000);
    await settled(clock, ann.peer.goodNight());
    expect(ann.host.containers).toEqual([]);
    expect(await ann.find()).toBeUndefined();
    await clock.advance(9_000);
    expect(await ann.find()).toBeUndefined();
    expect((await bob.find())?.driving).toBe(1);
    const failed = eventsOf(mesh, run).filter((event) => event.kind === 'attempt-failed');
    expect(failed.map(({ failure }) => failure.kind)).toEqual(Array(4).fill('drained'));
    // What it gave back is nothing that it did.
    expect(ann.peer.ended).toBe(0);
    await settled(clock, ann.peer.goodMorning());
    await clock.advance(1_000);
    expect(await ann.find()).toMatchObject({ claims: [], driving: 0 });
    await clock.advance(200_000);
    expect(ann.peer.ended + bob.peer.ended).toBe(5);
    expect((await ann.find())?.paused).toBeUndefined();
    expect(eventsOf(mesh, run).at(-1)).toMatchObject({ kind: 'run-ended', state: 'succeeded' });
    await stop();
  });

  it('whose machine is awake again before it slept never leaves', async () => {
    const { ann, stop, clock } = await twoPeers(30_000);
    const night = ann.peer.goodNight();
    await settled(clock, Promise.all([night, ann.peer.goodMorning()]));
    for (let second = 0; second < 12; second += 1) {
      await clock.advance(1_000);
      expect(await ann.find()).toBeDefined();
    }
    await stop();
  });
});
