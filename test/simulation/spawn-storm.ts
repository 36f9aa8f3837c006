import {
  parseSpawn,
  type RunId,
  type RunState,
  type SubTasksDropped,
  spawnerOf,
  spawnSequence,
  type TasksSpawned,
  tasksOf,
} from '@podmesh/core';
import { sha256 } from '@podmesh/daemon';
import type { FakeMesh, World } from '@podmesh/testkit';

type Runs = ReadonlyMap<RunId, RunState>;

/** An attempt that was cut off may find its voice again so late. */
const LATE_MS_MAX = 30_000;
/** What was spawned may not be wanted any more so soon. */
const DROP_MS_MAX = 2_000;

/**
 * From time to time some attempt that is open spawns a job or two, at once or when it is long lost; often with a key
 * that was used before, or drops what was spawned. What comes of it is the fold's to say.
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
      if (world.random.chance(0.5)) return;
      world.after(lateMs + world.random.between(1, DROP_MS_MAX), () => {
        const drop = chooseDrop(world, fold(), spawn);
        if (drop !== undefined) append(mesh, drop, fold());
      });
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

/** Something that an open attempt of the task, or an earlier one, spawned is wanted no more. */
function chooseDrop({ random }: World, runs: Runs, { run, parent }: TasksSpawned) {
  const state = runs.get(run);
  const task = state?.index.numberOf(parent);
  if (state === undefined || task === undefined) return undefined;
  const now = state.tasks[task];
  if (now?.kind !== 'running') return undefined;
  const spawned = [...(state.spawns.get(task)?.byKey.values() ?? [])];
  const dropped = random.pick(spawned.flatMap((one) => tasksOf(state, one)));
  if (dropped === undefined) return undefined;
  const { attempt, claim } = now;
  const tasks = [state.index.idOf(dropped)];
  const drop: SubTasksDropped = { kind: 'sub-tasks-dropped', run, parent, attempt, claim, tasks };
  return drop;
}

function append(mesh: FakeMesh, spawn: TasksSpawned | SubTasksDropped, runs: Runs): void {
  const state = runs.get(spawn.run);
  if (state !== undefined) mesh.log.append(spawn, spawnSequence(state, spawn.parent));
}
