import type { RunId } from '@podmesh/core';
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
} from './daemon.test-kit.ts';
import { ATTEMPT_STEPS, type AttemptStep } from './execute/attempt-step.ts';
import { Peer } from './peer.ts';

const SUCCEEDS: ContainerScript = () => ({ kind: 'runs', durationMs: 1_000 });

function newPeer(name = 'p', script = SUCCEEDS, joining?: Parameters<typeof newBench>[2]) {
  const bench = newBench(script, name, joining);
  const parts = peerParts(bench, name);
  const peer = new Peer(parts, CAPACITY);
  const stop = () => settled(bench.clock, peer.stop());
  return { ...bench, parts, peer, stop };
}

describe('a peer that is stopped', () => {
  it('before it was started ends, and never starts', async () => {
    const { peer, stop, ports, clock } = newPeer();
    await stop();
    await settled(clock, peer.start());
    await clock.advance(60_000);
    expect(await ports.peers.list()).toEqual([]);
  });

  it('twice says goodbye and holds nothing', async () => {
    const { peer, stop, ports, mesh, clock, host } = newPeer();
    const run = publishGraph(mesh, graphOf({ id: 'a', count: 8 }));
    mesh.drives.publish(run);
    await settled(clock, peer.start());
    await clock.advance(500);
    expect(host.containers.length).toBeGreaterThan(0);
    await Promise.all([stop(), peer.stop()]);
    await stop();
    expect(await ports.peers.list()).toEqual([]);
    expect(host.containers).toEqual([]);
    const failed = eventsOf(mesh, run).filter((event) => event.kind === 'attempt-failed');
    expect(new Set(failed.map(({ failure }) => failure.kind))).toEqual(new Set(['drained']));
    // The drive waits for somebody else.
    expect(mesh.drives.all()).toHaveLength(1);
  });

  it('while it starts ends, and claims nothing afterwards', async () => {
    const { peer, stop, mesh, clock, host, ports } = newPeer();
    mesh.drives.publish(publishGraph(mesh, graphOf({ id: 'a' })));
    const started = peer.start();
    await stop();
    await settled(clock, started);
    await clock.advance(120_000);
    expect(host.executions).toEqual([]);
    expect(await ports.peers.list()).toEqual([]);
  });
});

it('a run goes to its end on one peer, and leaves nothing', async () => {
  const { peer, stop, mesh, clock, host, parts } = newPeer();
  const graph = graphOf({ id: 'a', count: 9 }, { id: 'b', inputs: { all: 'jobs:a/out' } });
  const run = publishGraph(mesh, graph);
  mesh.drives.publish(run);
  await settled(clock, peer.start());
  await clock.advance(60_000);
  expect(eventsOf(mesh, run).at(-1)).toMatchObject({ kind: 'run-ended', state: 'succeeded' });
  expect(host.containers).toEqual([]);
  expect(parts.journal.entries.size).toBe(0);
  expect([...mesh.drives.all(), ...mesh.offers.all()]).toEqual([]);
  await stop();
});

it('what has waited for a minute is told to all, once for each kind, until somebody begins it', async () => {
  const { peer, stop, mesh, clock, ports } = newPeer();
  const job = { count: 3, cache: false };
  const run = publishGraph(
    mesh,
    graphOf({ id: 'a', ...job, needs: { labels: ['place=attic'] } }, { id: 'b', ...job }),
  );
  mesh.drives.publish(run);
  await settled(clock, peer.start());
  const wanted = async () => (await settled(clock, ports.peers.list()))[0]?.wanted;
  await clock.advance(40_000);
  expect(await wanted()).toBeUndefined();
  await clock.advance(50_000);
  expect(await wanted()).toMatchObject([{ labels: ['place=attic'] }]);
  mesh.log.append({ kind: 'run-cancel-requested', run, by: 'me', reason: 'enough' }, 0);
  await clock.advance(20_000);
  expect(await wanted()).toBeUndefined();
  await stop();
});

it('where one peer fails to start any container, every task succeeds on the other', async () => {
  const problem = { kind: 'runtime', message: 'crun is missing' } as const;
  const broken = newPeer('broken', () => ({ kind: 'start-failed', problem }));
  const whole = newPeer('whole', SUCCEEDS, broken);
  const { mesh, clock } = broken;
  const run = publishGraph(mesh, graphOf({ id: 'a', count: 24 }, { id: 'b', after: ['a'] }));
  mesh.drives.publish(run);
  await settled(clock, broken.peer.start());
  await settled(clock, whole.peer.start());
  await clock.advance(300_000);
  const events = eventsOf(mesh, run);
  expect(events.at(-1)).toMatchObject({
    kind: 'run-ended',
    state: 'succeeded',
    counts: { succeeded: 25, failed: 0 },
  });
  expect(events.some((event) => event.kind === 'attempt-failed')).toBe(true);
  await settled(clock, Promise.all([broken.peer.stop(), whole.peer.stop()]));
});

/** A peer whose canary and tasks fail while `isBroken`. */
function newBrokenPeer(name: string, canarySees: boolean) {
  const machine = { isBroken: true };
  const problem = { kind: 'runtime', message: 'no overlay' } as const;
  const script: ContainerScript = (spec) =>
    machine.isBroken ? { kind: 'start-failed', problem } : SUCCEEDS(spec);
  const trouble = () => (machine.isBroken && canarySees ? problem.message : undefined);
  const bench = newBench(script, name, undefined, { trouble });
  const parts = peerParts(bench, name);
  const peer = new Peer(parts, CAPACITY);
  const paused = async () => (await bench.ports.peers.find(parts.peer))?.paused;
  const broken = (run: RunId) =>
    eventsOf(bench.mesh, run).filter(
      (event) => event.kind === 'attempt-failed' && event.failure.kind === 'start-failed',
    ).length;
  return { ...bench, machine, peer, paused, broken };
}

describe('a broken machine', () => {
  it('that its canary sees wastes no attempt, says why, and works when it is repaired', async () => {
    const { peer, mesh, clock, machine, paused, broken } = newBrokenPeer('p', true);
    const run = publishGraph(mesh, graphOf({ id: 'a', count: 12 }));
    mesh.drives.publish(run);
    await settled(clock, peer.start());
    await clock.advance(120_000);
    expect(await paused()).toContain('a canary container failed: no overlay');
    expect(broken(run)).toBe(0);
    machine.isBroken = false;
    await clock.advance(120_000);
    expect(await paused()).toBeUndefined();
    expect(eventsOf(mesh, run).at(-1)).toMatchObject({ kind: 'run-ended', state: 'succeeded' });
    await settled(clock, peer.stop());
  });

  it('that its canary does not see wastes few attempts, and the others do the work', async () => {
    const { peer, broken, paused, ...bench } = newBrokenPeer('broken', false);
    const { mesh, clock } = bench;
    const whole = newPeer('whole', SUCCEEDS, bench);
    const run = publishGraph(mesh, graphOf({ id: 'a', count: 400 }));
    mesh.drives.publish(run);
    await settled(clock, Promise.all([peer.start(), whole.peer.start()]));
    await clock.advance(5_000);
    expect(await paused()).toContain('no overlay');
    await clock.advance(295_000);
    expect(eventsOf(mesh, run).at(-1)).toMatchObject({
      kind: 'run-ended',
      state: 'succeeded',
      counts: { succeeded: 400, failed: 0 },
    });
    // Three, what was in hand beside them, and one for each minute in which it tried again.
    expect(broken(run)).toBeLessThanOrEqual(3 + CAPACITY.cpus + 4);
    await settled(clock, Promise.all([peer.stop(), whole.peer.stop()]));
  });
});

it('a job that fails on one peer by itself is named there, with why', async () => {
  const problem = { kind: 'runtime', message: 'no such device' } as const;
  const bench = newPeer('p', (spec) =>
    spec.labels.task.startsWith('bad') ? { kind: 'start-failed', problem } : SUCCEEDS(spec),
  );
  const { peer, stop, mesh, clock, ports, parts } = bench;
  const entry = async () => await ports.peers.find(parts.peer);
  const run = publishGraph(mesh, graphOf({ id: 'bad', count: 3 }));
  mesh.drives.publish(run);
  await settled(clock, peer.start());
  await clock.advance(30_000);
  const { paused, rations } = (await entry()) ?? {};
  expect(paused).toBeUndefined();
  expect(rations).toEqual([
    { run, job: 'bad', reason: expect.stringMatching(/no such device; .* other peers/) },
  ]);
  await stop();
});

it('every step of an attempt is told, in order', async () => {
  const bench = newBench(SUCCEEDS);
  const steps: AttemptStep[] = [];
  const parts = { ...peerParts(bench, 'p'), onStep: (step: AttemptStep) => void steps.push(step) };
  const peer = new Peer(parts, CAPACITY);
  const { mesh, clock } = bench;
  mesh.drives.publish(publishGraph(mesh, graphOf({ id: 'a' })));
  await settled(clock, peer.start());
  await clock.advance(60_000);
  expect(steps).toEqual(ATTEMPT_STEPS);
  await settled(clock, peer.stop());
});

it('under memory pressure nothing is claimed, and the mesh is told why', async () => {
  const bench = newBench(SUCCEEDS);
  const { mesh, clock, ports } = bench;
  const memory = { totalBytes: 1_000, availableBytes: 40 };
  const host = {
    memory: async () => memory,
    freeDiskBytes: async () => 2 ** 40,
    disk: '/home',
  };
  const parts = { ...peerParts(bench, 'p'), host };
  const peer = new Peer(parts, CAPACITY);
  const run = publishGraph(mesh, graphOf({ id: 'a' }));
  mesh.drives.publish(run);
  await settled(clock, peer.start());
  await clock.advance(60_000);
  expect((await ports.peers.find(parts.peer))?.paused).toContain('memory pressure');
  expect(bench.host.executions).toEqual([]);
  memory.availableBytes = 500;
  await clock.advance(30_000);
  expect(eventsOf(mesh, run).at(-1)).toMatchObject({ kind: 'run-ended', state: 'succeeded' });
  await settled(clock, peer.stop());
});

it('a cached result is taken, unless its record is garbage', async () => {
  const { peer, stop, mesh, clock, host } = newPeer();
  const graph = graphOf({ id: 'a', count: 3 });
  await settled(clock, peer.start());
  const again = async () => {
    const before = host.executions.length;
    const run = publishGraph(mesh, graph);
    mesh.drives.publish(run);
    await clock.advance(30_000);
    expect(eventsOf(mesh, run).at(-1)).toMatchObject({ kind: 'run-ended', state: 'succeeded' });
    return host.executions.length - before;
  };
  expect(await again()).toBe(3);
  expect(await again()).toBe(0);
  for (const action of mesh.results.keys()) mesh.results.set(action, {} as never);
  expect(await again()).toBe(3);
  await stop();
});
