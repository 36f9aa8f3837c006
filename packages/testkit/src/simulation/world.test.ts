import { laneId, type RunId, runId } from '@podmesh/core';
import { describe, expect, it } from 'vitest';
import { checkLog } from '../invariants/check-log.ts';
import { FakeMesh } from '../mesh/fake-mesh.ts';
import { Random } from '../random.ts';
import { scheduleChaos } from './chaos.ts';
import { CALM, type FaultPlan, faultAtCall, stormyPlan } from './fault-plan.ts';
import { runToyDriver, runToyWorker } from './toy-daemon.ts';
import { World } from './world.ts';

const RUN: RunId = runId('toyrun000000');
const LANE = laneId('0000000000000001');
const TASKS = 12;

function build(seed: string, plan: FaultPlan, chaos = 0) {
  const world = new World({ seed, plan });
  const mesh = new FakeMesh(world, world.random.fork('mesh'));
  const work = { run: RUN, lane: LANE, tasks: TASKS };
  mesh.lanes.open(LANE, { cpus: 1, memoryBytes: 0, diskBytes: 0, gpus: 0, labels: [] });
  world.machine('driver', (process) => runToyDriver(process, mesh.portsFor(process), work)).start();
  for (const name of ['a', 'b', 'c']) {
    world.machine(name, (process) => runToyWorker(process, mesh.portsFor(process), LANE)).start();
  }
  scheduleChaos(world, mesh, chaos);
  return { world, mesh };
}

const succeeded = (mesh: FakeMesh) =>
  mesh.log.entries.filter(({ event }) => event.kind === 'attempt-succeeded').length;

async function storm(seed: string) {
  const { world, mesh } = build(seed, stormyPlan(new Random(seed)), 8);
  const end = await world.run(600_000, () => succeeded(mesh) === TASKS);
  return { world, mesh, end };
}

describe('a world', () => {
  it('ends in calm weather, with one container run per task', async () => {
    const { world, mesh } = build('calm', CALM);
    expect(await world.run(60_000, () => succeeded(mesh) === TASKS)).toBe('done');
    expect(checkLog(mesh.log.entries)).toEqual([]);
  });

  it.each([1, 2, 3, 4, 5])('has equal traces and logs for seed %i', async (seed) => {
    const first = await storm(String(seed));
    const second = await storm(String(seed));
    expect(second.world.trace).toEqual(first.world.trace);
    expect(second.mesh.log.entries).toEqual(first.mesh.log.entries);
    expect(first.world.trace.length).toBeGreaterThan(100);
  });

  it('differs between seeds', async () => {
    const [first, second] = [await storm('1'), await storm('2')];
    expect(second.world.trace).not.toEqual(first.world.trace);
  });

  it('keeps a careful worker correct through 100 storms', async () => {
    for (let seed = 0; seed < 100; seed += 1) {
      const { world, mesh, end } = await storm(`storm ${seed}`);
      const problems = [...checkLog(mesh.log.entries), ...(end === 'done' ? [] : [end])];
      const told = problems.length > 0 ? world.trace.slice(-40) : [];
      expect({ seed, problems, told }).toEqual({ seed, problems: [], told: [] });
    }
  });

  it('can crash at every step boundary', async () => {
    const calm = build('steps', CALM);
    await calm.world.run(60_000, () => succeeded(calm.mesh) === TASKS);
    const steps = calm.world.callCount;
    expect(steps).toBeGreaterThan(50);
    for (let step = 1; step <= steps; step += 1) {
      for (const fault of ['crash-before', 'crash-after'] as const) {
        const { world, mesh } = build('steps', faultAtCall(step, fault));
        expect(await world.run(600_000, () => succeeded(mesh) === TASKS)).toBe('done');
        expect(world.trace.some((line) => line.includes('crashed'))).toBe(true);
        expect(checkLog(mesh.log.entries)).toEqual([]);
      }
    }
  });

  it('fails with the error that a daemon dies of', async () => {
    const world = new World({ seed: 1 });
    world.machine('a', () => Promise.reject(new TypeError('a bug'))).start();
    await expect(world.run(1_000)).rejects.toThrow('a bug');
  });
});
