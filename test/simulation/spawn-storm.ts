import {
  parseSpawn,
  type RunId,
  type RunState,
  spawnerOf,
  spawnSequence,
  type TasksSpawned,
} from '@podmesh/core';
import { sha256 } from '@podmesh/daemon';
import type { FakeMesh, World } from '@podmesh/testkit';

type Runs = ReadonlyMap<RunId, RunState>;

/** An attempt that was cut off may find its voice again so late. */
const LATE_MS_MAX = 30_000;

/**
 * From time to time some attempt that is open spawns a job or two, at once or when it is long lost; often with a key
 * that was used before. What comes of it is the fold's to say.
 */
export function scheduleSpawns(
  world: World,
  mesh: FakeMesh,
  times: number,
  fold: () => Runs,
): void {
  for (let time = 0; time < times; time += 1) {
    world.sometime([0, world.plan.faultsUntilMs], () => {
      const spawn = chooseSpawn(world, fold());
      if (spawn === undefined) return;
      const lateMs = world.random.chance(0.7) ? 0 : world.random.between(1, LATE_MS_MAX);
      world.after(lateMs, () => append(mesh, spawn, fold()));
    });
  }
}

function chooseSpawn({ random }: World, runs: Runs): TasksSpawned | undefined {
  const open = [...runs].flatMap(([run, state]) =>
    [...state.running].map((task) => ({ run, state, task })),
  );
  const chosen = random.pick(open);
  const now = chosen?.state.tasks[chosen.task];
  if (chosen === undefined || now?.kind !== 'running') return undefined;
  const parent = chosen.state.index.idOf(chosen.task);
  const spawner = spawnerOf(chosen.state, parent, sha256);
  if (spawner === undefined) return undefined;
  const key = `k${random.between(1, 3)}`;
  const earlier = random.pick(spawner.earlier);
  const inputs =
    earlier === undefined || earlier.outputs.out === undefined
      ? {}
      : { earlier: `jobs:${earlier.id}/out` };
  const first = { id: 'a', inputs, outputs: { out: 'file:/out' }, count: random.between(1, 2) };
  const second = { id: 'b', inputs: { in: 'jobs:a/out' }, outputs: { out: 'file:/out' } };
  const jobs = parseSpawn({ key, jobs: random.chance(0.5) ? [first] : [first, second] }, spawner);
  if (!jobs.ok) throw new Error(JSON.stringify(jobs.error));
  const { run } = chosen;
  const { attempt, claim } = now;
  return { kind: 'tasks-spawned', run, parent, attempt, claim, key, jobs: jobs.value };
}

function append(mesh: FakeMesh, spawn: TasksSpawned, runs: Runs): void {
  const state = runs.get(spawn.run);
  if (state !== undefined) mesh.log.append(spawn, spawnSequence(state, spawn.parent));
}
