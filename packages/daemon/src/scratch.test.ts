import type { RunId } from '@podmesh/core';
import type { ContainerScript } from '@podmesh/testkit';
import { it } from 'vitest';
import {
  CAPACITY,
  eventsOf,
  graphOf,
  newBench,
  peerParts,
  publishGraph,
  settled,
} from './daemon.test-kit.ts';
import { Peer } from './peer.ts';

const SUCCEEDS: ContainerScript = () => ({ kind: 'runs', durationMs: 1_000 });

function newPeer(name = 'p', script = SUCCEEDS, joining?: Parameters<typeof newBench>[2]) {
  const bench = newBench(script, name, joining);
  const parts = peerParts(bench, name);
  const peer = new Peer(parts, CAPACITY);
  const stop = () => settled(bench.clock, peer.stop());
  return { ...bench, parts, peer, stop };
}

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


it.each([400, 20, 1])('measures %s', async (count) => {
    const { peer, broken, paused, ...bench } = newBrokenPeer('broken', false);
    const { mesh, clock } = bench;
    const whole = newPeer('whole', SUCCEEDS, bench);
    const first = publishGraph(mesh, graphOf({ id: 'a', count: 400 }));
    mesh.drives.publish(first);
    await settled(clock, Promise.all([peer.start(), whole.peer.start()]));
    const t0 = clock.nowMs();
    const end = async (run: RunId) => { while (eventsOf(mesh, run).at(-1)?.kind !== 'run-ended') await clock.advance(100); };
    await end(first);
    console.log('first', clock.nowMs() - t0, broken(first), mesh.offers.deliveryCount);
    if (count === 400) { await settled(clock, Promise.all([peer.stop(), whole.peer.stop()])); return; }
    await settled(clock, Promise.all([peer.stop(), whole.peer.stop()]));
});
