import { type Graph, LEASE_MS, parseGraph, runId } from '@podmesh/core';
import { ATTEMPT_STEPS, type AttemptStep, sha256 } from '@podmesh/daemon';
import {
  CALM,
  ContainerHost,
  checkAllEnded,
  checkAtRest,
  checkLog,
  FakeMesh,
  Random,
  World,
} from '@podmesh/testkit';
import { describe, expect, it } from 'vitest';
import { bootPeer } from './sim-peer.ts';
import { publishGraph } from './simulate.ts';

/** A peer that is killed stays away for this long: less than a lease, or more. */
const AWAY_MS = [1_000, 60_000] as const;
const CONTAINER_MS = 5_000;
const PATIENCE_MS = 10 * 60_000;

const isAtOrAfter = (step: AttemptStep, other: AttemptStep): boolean =>
  ATTEMPT_STEPS.indexOf(step) >= ATTEMPT_STEPS.indexOf(other);

const oneTask = (): Graph => {
  const jobs = [{ id: 'a', container: 'localhost/tool:1', cache: false }];
  const graph = parseGraph({ version: 1, jobs }, sha256);
  if (!graph.ok) throw new Error(JSON.stringify(graph.error));
  return graph.value;
};

/** One peer, one task, and a kill at the first time that the step is reached. */
async function killAt(step: AttemptStep, awayMs: number, losesContainers: boolean) {
  const world = new World({ seed: step, plan: { ...CALM, restartMs: [awayMs, awayMs] } });
  const mesh = new FakeMesh(world, new Random('mesh'));
  const host = new ContainerHost(world, 'peer', {
    script: () => ({ kind: 'runs', durationMs: CONTAINER_MS }),
  });
  let kills = 0;
  const onStep = (reached: AttemptStep): void => {
    if (reached !== step || kills > 0) return;
    kills += 1;
    machine.crash();
    if (losesContainers) for (const container of host.containers) host.remove(container);
  };
  const machine = world.machine('peer', (process, self) =>
    bootPeer(mesh, host, { process, machine: self, onStep }),
  );
  machine.start();
  publishGraph(mesh, runId('simulatedrun'), oneTask());
  await world.run(PATIENCE_MS, () => checkAllEnded(mesh.log.entries).length === 0);
  await world.run(world.nowMs() + PATIENCE_MS);
  const entries = mesh.log.entries;
  const kinds = entries.flatMap(({ event }) =>
    event.kind === 'attempt-failed' ? [event.failure.kind] : [event.kind],
  );
  const violations = [
    ...checkAllEnded(entries),
    ...checkLog(entries),
    ...checkAtRest(mesh, [host]),
  ];
  const times = entries.map(({ at }) => Date.parse(at));
  return { kills, kinds, violations, times, disk: [...machine.disk.keys()] };
}

describe.each(AWAY_MS)('a peer that is killed and comes back after %i ms', (awayMs) => {
  it.each(ATTEMPT_STEPS)('at the step %s ends its task, and leaves nothing', async (step) => {
    const { kills, kinds, violations, disk } = await killAt(step, awayMs, false);
    expect(kills).toBe(1);
    expect(violations).toEqual([]);
    expect(disk).toEqual([]);
    const attempts = kinds.filter((kind) => kind === 'attempt-started').length;
    const isAdopted = isAtOrAfter(step, 'container-started');
    if (isAdopted) expect(kinds).not.toContain('attempt-lost');
    const isBegun = isAtOrAfter(step, 'attempt-started');
    expect(attempts).toBe(isAdopted || !isBegun ? 1 : 2);
    expect(kinds.filter((kind) => kind === 'attempt-succeeded')).toHaveLength(1);
  });

  it.each(ATTEMPT_STEPS)('at the step %s, its containers gone, says so at once', async (step) => {
    const { violations, kinds, disk, times } = await killAt(step, awayMs, true);
    expect(violations).toEqual([]);
    expect(disk).toEqual([]);
    if (isAtOrAfter(step, 'outcome-appended')) {
      expect(kinds.filter((kind) => kind === 'attempt-started')).toHaveLength(1);
    } else if (isAtOrAfter(step, 'attempt-started')) {
      const expected = isAtOrAfter(step, 'start-noted') ? 'peer-lost' : 'start-failed';
      expect(kinds).toEqual([
        'run-published',
        'attempt-started',
        expected,
        'attempt-started',
        'attempt-succeeded',
        'run-ended',
      ]);
      const [, startedMs = 0, failedMs = 0] = times;
      // Nobody waited for the lease, only for the peer: in virtual time that is exact.
      expect(failedMs - startedMs).toBeLessThan(awayMs + CONTAINER_MS + LEASE_MS / 2);
    }
  });
});
