import type { ContainerRef, Job } from '../graph/graph.ts';
import type { Spawner } from '../graph/parse-spawn.ts';
import type { Sequence } from '../ports.ts';
import { canonicalJson, type Sha256 } from '../words/digest.ts';
import type { TaskId } from '../words/ids.ts';
import { appendJobs } from './append-jobs.ts';
import { charactersOf, refuseSpawn } from './refuse-spawn.ts';
import type { TasksSpawned } from './run-event.ts';
import type { RunState } from './run-state.ts';
import { lineOf, spawnsOf } from './spawn-line.ts';
import type { SpawnedJobs, Spawns, SpawnVerdict } from './spawns.ts';

/**
 * Folds `tasks-spawned`. Everybody who folds the log comes to the same: the attempt must be the open one
 * of its task at this place of the stream. A run therefore cannot end while something that was spawned is unsettled
 * (for its end the parent must be settled, and whoever saw that has seen, before it, the spawn), and an attempt
 * that was declared lost can spawn nothing.
 */
export function spawnTasks(state: RunState, event: TasksSpawned, sequence: Sequence): void {
  const parent = state.index.numberOf(event.parent);
  if (parent === undefined) return;
  const spawns = spawnsOf(state, parent);
  spawns.sequence = sequence;
  if (isRepetition(state, spawns, event)) {
    spawns.refusal = undefined;
    return;
  }
  spawns.refusal = refuseSpawn(state, event);
  // Whatever was in it: it is in the log.
  state.spawnBytes += charactersOf(event.jobs);
  if (spawns.refusal !== undefined) return;
  const firstJob = state.index.jobs.length;
  for (let job = firstJob; job < firstJob + event.jobs.length; job += 1) {
    state.parents.set(job, parent);
  }
  const before = state.index.taskCount;
  appendJobs(state, event.jobs);
  spawns.byKey.set(event.key, { firstJob, jobCount: event.jobs.length });
  for (const above of lineOf(state, parent)) {
    spawnsOf(state, above).tasks += state.index.taskCount - before;
  }
}

/**
 * What became of a spawn, asked of a state in which the log is folded up to `sequence`, where the event landed; or,
 * without `sequence`, what would become of it here and now: `unknown` if it may be appended.
 */
export function judgeSpawn(
  state: RunState,
  event: TasksSpawned,
  sequence?: Sequence,
): SpawnVerdict {
  const parent = state.index.numberOf(event.parent);
  const spawns = parent === undefined ? undefined : state.spawns.get(parent);
  const known = spawns?.byKey.get(event.key);
  if (known !== undefined && sameJobs(jobsOf(state, known), event.jobs)) {
    return { kind: 'accepted', jobs: known };
  }
  const refusal =
    sequence === undefined || spawns?.sequence !== sequence
      ? refuseSpawn(state, event)
      : spawns.refusal;
  return refusal === undefined ? { kind: 'unknown' } : { kind: 'refused', refusal };
}

/** What the task spawned under a key, in this attempt or an earlier one. */
export function spawnedUnder(
  state: RunState,
  parent: TaskId,
  key: string,
): SpawnedJobs | undefined {
  const number = state.index.numberOf(parent);
  return number === undefined ? undefined : state.spawns.get(number)?.byKey.get(key);
}

/** Who asks, for {@link parseSpawn}. Undefined when the run has no such task. */
export function spawnerOf(state: RunState, task: TaskId, sha256: Sha256): Spawner | undefined {
  const number = state.index.numberOf(task);
  if (number === undefined) return undefined;
  const line = [...lineOf(state, number)].flatMap((above) => {
    const job = state.index.jobs[state.index.jobOf(above)];
    return job === undefined ? [] : [job];
  });
  const [job] = line;
  return job === undefined
    ? undefined
    : {
        ...{ task, job, line, earlier: spawnedBy(state, task), sha256 },
        isOfDocument: (container) => isOfDocument(state, container),
      };
}

/** By its name, or by what the name meant when the run was published. */
function isOfDocument(state: RunState, asked: ContainerRef): boolean {
  if (asked.kind === 'output') return false;
  const name = asked.kind === 'digest' ? asked.digest : asked.reference;
  return state.index.jobs.some(({ container }, position) => {
    if (container.kind === 'output' || state.parents.has(position)) return false;
    if (container.kind === 'digest') return container.digest === name;
    return container.reference === name || Object.values(container.pins ?? {}).includes(name);
  });
}

/** All jobs that the task spawned, oldest first: what the next ones may read of. */
export function spawnedBy(state: RunState, parent: TaskId): readonly Job[] {
  const number = state.index.numberOf(parent);
  const spawns = number === undefined ? undefined : state.spawns.get(number);
  return [...(spawns?.byKey.values() ?? [])].flatMap((spawned) => jobsOf(state, spawned));
}

/** Numbers of their tasks, in order. */
export function tasksOf(state: RunState, { firstJob, jobCount }: SpawnedJobs): readonly number[] {
  const tasks: number[] = [];
  for (let job = firstJob; job < firstJob + jobCount; job += 1) {
    const first = state.index.firstTaskOf(job);
    for (let task = first; task < first + state.index.sizeOf(job); task += 1) tasks.push(task);
  }
  return tasks;
}

/** Where the next `tasks-spawned` of the task has to land. */
export function spawnSequence(state: RunState, parent: TaskId): Sequence {
  const number = state.index.numberOf(parent);
  return (number === undefined ? undefined : state.spawns.get(number)?.sequence) ?? 0;
}

function isRepetition(state: RunState, spawns: Spawns, event: TasksSpawned): boolean {
  const known = spawns.byKey.get(event.key);
  return known !== undefined && sameJobs(jobsOf(state, known), event.jobs);
}

function jobsOf(state: RunState, { firstJob, jobCount }: SpawnedJobs): readonly Job[] {
  return state.index.jobs.slice(firstJob, firstJob + jobCount);
}

function sameJobs(some: readonly Job[], others: readonly Job[]): boolean {
  return canonicalJson(some) === canonicalJson(others);
}
