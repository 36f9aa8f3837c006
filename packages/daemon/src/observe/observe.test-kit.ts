import type { ContainerScript } from '@podmesh/testkit';
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
import { AttemptStages } from './attempt-stages.ts';
import type { MetricSources } from './metric-sources.ts';
import { ObservedPorts } from './observed-ports.ts';
import type { Observer } from './observer.ts';

/** A peer in virtual time whose run of these jobs is watched by the observers to its end. */
export async function observedRun(
  observers: readonly Observer[],
  script: ContainerScript,
  ...jobs: readonly object[]
) {
  const bench = newBench(script, 'p');
  const { clock, mesh } = bench;
  const parts = peerParts(bench, 'p');
  const nowMs = () => clock.nowMs();
  const stages = new AttemptStages(observers, nowMs);
  const ports = new ObservedPorts(observers, nowMs);
  const peer = new Peer(
    {
      ...parts,
      log: ports.log(parts.log),
      offers: ports.offers(parts.offers),
      onStep: (step, attempt) => stages.step(step, attempt),
      onEnding: (attempt, ending) => stages.ended(attempt, ending),
    },
    CAPACITY,
  );
  const run = publishGraph(mesh, graphOf(...jobs));
  mesh.drives.publish(run);
  await settled(clock, peer.start());
  const isOver = (): boolean => eventsOf(mesh, run).at(-1)?.kind === 'run-ended';
  await clock.run(clock.nowMs() + 600_000, isOver);
  // What comes after the outcome: nobody waits for it but whoever ends.
  await clock.advance(1_000);
  return { run, peer, mesh, clock, stop: () => settled(clock, peer.stop()) };
}

/** A peer that does nothing. */
export const idleSources = (changes: Partial<MetricSources> = {}): MetricSources => ({
  version: '0.1.0',
  load: () => ({
    claims: 0,
    containers: 0,
    driving: 0,
    isClaiming: true,
    circuit: 'closed',
    lanes: { waiting: 0, idle: 0 },
    capacity: CAPACITY,
    free: CAPACITY,
  }),
  queues: async () => ({ offers: 0, drives: 0 }),
  leases: () => ({ confirmed: 0, unanswered: 0, lost: 0 }),
  moved: () => ({ received: { direct: 0, relayed: 0 }, served: { direct: 0, relayed: 0 } }),
  storeBytes: () => 0,
  freeDiskBytes: async () => 0,
  connection: () => ({ isConnected: true, reconnects: 0 }),
  ...changes,
});
