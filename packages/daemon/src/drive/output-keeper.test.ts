import {
  type ArtifactRef,
  type KeepAnswer,
  type KeepingPeer,
  type KeepOrder,
  type KeepRelease,
  type PeerEntry,
  type PeerId,
  peerId,
  type RunEvent,
  taskId,
} from '@podmesh/core';
import {
  sampleArtifact,
  samplePeer,
  sampleResult,
  sampleStarted,
  sampleSucceeded,
} from '@podmesh/testkit';
import { describe, expect, it } from 'vitest';
import {
  eventsOf,
  graphOf,
  newBench,
  peerParts,
  publishGraph,
  settled,
} from '../daemon.test-kit.ts';
import { Driver } from './driver.ts';
import { ImageFinder } from './image-finder.ts';

const { digest } = sampleArtifact(Buffer.from('large')).ref;
const LARGE: ArtifactRef = { digest, kind: 'file', bytes: 2 ** 30 };

/** A run whose task succeeded on peer `ann`, and what the peers of its mesh say to orders. */
function newCase(...jobs: readonly object[]) {
  const bench = newBench();
  const { mesh, process, ports } = bench;
  const stop = new AbortController();
  const lost: { missing: readonly (typeof digest)[] } = { missing: [] };
  const parts = {
    ...peerParts(bench, 'driver'),
    images: new ImageFinder({ ...peerParts(bench, 'driver'), arch: () => 'amd64' }),
    platform: () => 'linux/amd64',
    lost: { missing: async () => lost.missing },
  };
  const run = publishGraph(mesh, graphOf({ id: 'a' }, ...jobs));
  const started = { ...sampleStarted(run, taskId('a')), peer: peerId('ann') };
  mesh.log.append(started, 0);
  const result = { ...sampleResult(), peer: peerId('ann'), outputs: { out: LARGE } };
  mesh.log.append({ ...sampleSucceeded(started), result: { ...result, bulk: true } }, 2);
  const present = new Map<PeerId, PeerEntry>();
  const refresh = () => {
    for (const entry of present.values()) mesh.peers.announce(entry);
    void process.clock.sleep(3_000).then(refresh);
  };
  refresh();

  function join(
    name: string,
    answer: (() => KeepAnswer) | undefined,
    changes: Partial<PeerEntry> = {},
  ) {
    const peer = peerId(name);
    const orders: KeepOrder[] = [];
    const releases: KeepRelease[] = [];
    let last = 'nothing';
    const keeper: KeepingPeer = {
      keep: (order) => {
        orders.push(order);
        last = 'order';
        return answer?.() as ReturnType<KeepingPeer['keep']>;
      },
      release: (release) => {
        releases.push(release);
        last = 'release';
      },
    };
    const keeps = { freeBytes: 2 ** 40, host: name };
    present.set(peer, { ...samplePeer(name), keeps, ...changes });
    mesh.peers.announce({ ...samplePeer(name), keeps, ...changes });
    if (answer !== undefined) void ports.keepers.serve(peer, keeper, stop.signal);
    const leave = (): void => {
      present.delete(peer);
      mesh.peers.withdraw(peer);
    };
    return { orders, releases, leave, lastWords: () => last };
  }

  const drive = () => new Driver(parts, run).drive(stop.signal);
  const told = () =>
    eventsOf(mesh, run).filter(
      (
        event,
      ): event is Extract<RunEvent, { kind: 'outputs-kept' | 'outputs-lost' | 'run-ended' }> =>
        ['outputs-kept', 'outputs-lost', 'run-ended'].includes(event.kind),
    );
  return { ...bench, run, stop, join, drive, told, lost };
}

const kept = (): KeepAnswer => ({ kind: 'kept' });
/** Its entry in the directory is there, and nobody is behind it. */
const frozen = undefined;

describe('outputs of a success', () => {
  it('are ordered from one more peer, and let go when both said that they have them', async () => {
    const { join, drive, told, clock, run } = newCase();
    const ann = join('ann', kept);
    const answers: KeepAnswer[] = [{ kind: 'working' }, { kind: 'working' }];
    const bob = join('bob', () => answers.shift() ?? kept());
    expect(await settled(clock, drive())).toBe('ended');
    const keepers = [peerId('ann'), peerId('bob')];
    expect(told()).toMatchObject([
      { kind: 'outputs-kept', keepers, wanted: 2 },
      { kind: 'run-ended', state: 'succeeded' },
    ]);
    expect(told().some((event) => 'short' in event)).toBe(false);
    expect(bob.orders[0]).toEqual({ run, task: 'a', outputs: [LARGE] });
    const release = { run, tasks: ['a'], as: 'kept' };
    expect([...ann.releases, ...bob.releases]).toEqual([release, release]);
    expect(bob.lastWords()).toBe('release');
  });

  it('have one copy where nobody else is, which holds nothing up', async () => {
    const { join, drive, told, clock } = newCase();
    const ann = join('ann', kept);
    const fromMs = clock.nowMs();
    await settled(clock, drive());
    expect(clock.nowMs() - fromMs).toBeLessThan(5_000);
    const short = 'no other peer is in the mesh';
    expect(told()).toMatchObject([
      { keepers: ['ann'], short },
      { kind: 'run-ended', short: 1 },
    ]);
    expect(ann.releases).toEqual([]);
  });

  it('are not waited for where all others are of a version that keeps nothing', async () => {
    const { join, drive, told, clock } = newCase();
    join('ann', kept);
    const { keeps: _, ...old } = samplePeer('old');
    join('old', kept, { ...old, keeps: undefined as never });
    await settled(clock, drive());
    const short = 'no other peer in the mesh keeps outputs for others';
    expect(told()[0]).toMatchObject({ keepers: ['ann'], short });
  });

  it.each<[string, (() => KeepAnswer) | undefined]>([
    ['refuses', () => ({ kind: 'refused', message: 'the disk /home is full' })],
    ['stands still', frozen],
  ])('go to another when one %s', async (_, answer) => {
    const { join, drive, told, clock } = newCase();
    join('ann', kept);
    // By what it offers it is always the first.
    const offer = { keeps: { freeBytes: 2 ** 40, host: 'bad', roles: ['store'] as const } };
    join('bad', answer, offer);
    join('good', kept);
    await settled(clock, drive());
    expect(told()[0]).toMatchObject({ kind: 'outputs-kept', keepers: ['ann', 'good'] });
    expect(told()[0]).not.toHaveProperty('short');
  });

  it('go to another when the one at work leaves', async () => {
    const { join, drive, told, clock } = newCase();
    join('ann', kept);
    const offer = { keeps: { freeBytes: 2 ** 40, host: 'busy', roles: ['store'] as const } };
    const busy = join('busy', () => ({ kind: 'working' }), offer);
    const driving = drive();
    await clock.advance(20_000);
    expect(told()).toEqual([]);
    busy.leave();
    join('good', kept);
    await settled(clock, driving);
    expect(told()[0]).toMatchObject({ kind: 'outputs-kept', keepers: ['ann', 'good'] });
  });

  it('are waited for so long when everybody refuses, while other tasks are offered; then it is told who said what', async () => {
    const { join, drive, told, clock, mesh, stop } = newCase({ id: 'other' });
    join('ann', kept);
    join('full', () => ({ kind: 'refused', message: 'the disk /home is full' }));
    const driving = drive();
    await clock.advance(5_000);
    expect(mesh.offers.all().map(({ value }) => value.task)).toEqual(['other']);
    expect(told()).toEqual([]);
    await clock.advance(100_000);
    expect(told()).toMatchObject([
      { kind: 'outputs-kept', keepers: ['ann'], short: 'full: the disk /home is full' },
    ]);
    stop.abort();
    await settled(clock, driving);
  });

  it('are said to be on one machine where they are', async () => {
    const { join, drive, told, clock } = newCase();
    const keeps = { freeBytes: 2 ** 40, host: 'one machine' };
    join('ann', kept, { keeps });
    join('bob', kept, { keeps });
    await settled(clock, drive());
    const short = 'all copies are on one machine';
    expect(told()[0]).toMatchObject({ keepers: ['ann', 'bob'], short });
  });

  it('are made again when nobody has them any more', async () => {
    const { join, drive, told, clock, lost, mesh, stop } = newCase();
    join('bob', () => ({ kind: 'refused', message: 'nobody gives it' }));
    lost.missing = [digest];
    const driving = drive();
    await clock.advance(60_000);
    expect(told()).toMatchObject([{ kind: 'outputs-lost', artifacts: [digest], rerun: 1 }]);
    expect(mesh.offers.all().map(({ value }) => value.task)).toEqual(['a']);
    stop.abort();
    await settled(clock, driving);
  });

  it('are told as far as they are known where nobody says that it has them, and nobody that they are lost', async () => {
    const { join, drive, told, clock } = newCase();
    join('ann', frozen);
    join('bob', frozen);
    await settled(clock, drive());
    expect(told()[0]).toMatchObject({ kind: 'outputs-kept', keepers: [] });
    expect(told()[0]).toHaveProperty('short', expect.stringContaining('does not answer'));
  });

  it('are ordered again by the next driver', async () => {
    const { join, drive, told, clock, stop } = newCase();
    join('ann', kept);
    const bob = join('bob', () => ({ kind: 'working' }));
    const driving = drive();
    await clock.advance(10_000);
    expect(bob.orders.length).toBeGreaterThan(1);
    stop.abort();
    expect(await settled(clock, driving)).toBe('stopped');
    expect(told()).toEqual([]);
  });

  it('that others read, and that are wanted no longer, are released when those are done', async () => {
    const { mesh, clock, join, drive, run, told } = newCase({
      id: 'b',
      inputs: { in0: 'jobs:a/out' },
    });
    const ann = join('ann', kept);
    const started = sampleStarted(run, taskId('b'));
    mesh.log.append(started, 0);
    mesh.log.append(sampleSucceeded(started), mesh.log.eventsOf(run).at(-1)?.sequence ?? 0);
    expect(await settled(clock, drive())).toBe('ended');
    expect(told()).toMatchObject([{ kind: 'run-ended' }]);
    expect(ann.releases).toEqual([{ run, tasks: ['a'], as: 'spent' }]);
  });
});
