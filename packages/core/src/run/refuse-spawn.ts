import type { Job } from '../graph/graph.ts';
import { referencesOf } from '../graph/job-edges.ts';
import { canonicalJson } from '../words/digest.ts';
import {
  JOBS_PER_GRAPH_MAX,
  SPAWN_BYTES_PER_RUN_MAX,
  SPAWN_CPU_SECONDS_DEFAULT,
  SPAWN_DEPTH_DEFAULT,
  SPAWN_JOBS_MAX,
  SPAWN_TASKS_DEFAULT,
  TASKS_PER_GRAPH_MAX,
} from '../words/limits.ts';
import { spentText } from './cpu-budget.ts';
import type { TasksSpawned } from './run-event.ts';
import type { RunState } from './run-state.ts';
import { lineOf } from './spawn-line.ts';
import type { SpawnRefusal } from './spawns.ts';

/** Why the event is no fact of the run at this place of the stream; undefined when it is one. */
export function refuseSpawn(state: RunState, event: TasksSpawned): SpawnRefusal | undefined {
  const parent = state.index.numberOf(event.parent);
  const now = parent === undefined ? undefined : state.tasks[parent];
  const isOpen =
    now?.kind === 'running' && now.claim === event.claim && now.attempt === event.attempt;
  if (state.ended !== undefined || state.cancelRequested) {
    return {
      kind: 'run-over',
      message: 'the run is cancelled or has ended: nothing starts any more',
    };
  }
  if (parent === undefined || !isOpen) {
    const message = `attempt ${event.attempt} of ${event.parent} is not at work any more: another one may spawn instead`;
    return { kind: 'stale-attempt', message };
  }
  return (
    refuseKey(state, parent, event.key) ??
    refuseJobs(state, parent, event.jobs) ??
    refuseSize(state, event.jobs) ??
    refuseBudget(state, parent, event.jobs)
  );
}

function refuseKey(state: RunState, parent: number, key: string): SpawnRefusal | undefined {
  if (state.spawns.get(parent)?.byKey.has(key) !== true) return undefined;
  return {
    kind: 'key-taken',
    message:
      `the key ${JSON.stringify(key)} was used before for other jobs: give each spawn of a task a key of its own, ` +
      'and the same key the same jobs in every attempt',
  };
}

function refuseJobs(
  state: RunState,
  parent: number,
  jobs: readonly Job[],
): SpawnRefusal | undefined {
  const ids = new Set<string>();
  for (const { id } of jobs) {
    if (state.index.findJob(id) !== undefined || ids.has(id)) {
      const message = `there is a job ${id} already: use another key, or another "id"`;
      return { kind: 'id-taken', message, job: id };
    }
    ids.add(id);
  }
  const above = state.index.jobs[state.index.jobOf(parent)];
  for (const job of jobs) {
    const inherited = above !== undefined && isSame(job.container, above.container);
    for (const { job: other, member } of referencesOf(job)) {
      if (ids.has(other) || (inherited && member[0] === 'container')) continue;
      const position = state.index.findJob(other);
      if (position !== undefined && state.parents.get(position) === parent) continue;
      return { kind: 'out-of-reach', message: reachText(state, parent, other), job: job.id };
    }
  }
  return undefined;
}

function reachText(state: RunState, parent: number, other: string): string {
  const line = [...lineOf(state, parent)].map(
    (task) => state.index.jobs[state.index.jobOf(task)]?.id,
  );
  const why = line.some((id) => id === other)
    ? `a sub-task cannot wait for ${other}, which waits for its sub-tasks: neither would ever end`
    : `a sub-task cannot read of ${other}`;
  return `${why}; it may read artifacts, jobs of the same spawn, and what the same task spawned before`;
}

function refuseSize(state: RunState, jobs: readonly Job[]): SpawnRefusal | undefined {
  if (jobs.length === 0 || jobs.length > SPAWN_JOBS_MAX) {
    const message = `one spawn has from 1 to ${SPAWN_JOBS_MAX} jobs, not ${jobs.length}: use several keys`;
    return { kind: 'too-many-jobs', message };
  }
  const jobCount = state.index.jobs.length + jobs.length;
  const taskCount = state.index.taskCount + tasksIn(jobs);
  const mib = SPAWN_BYTES_PER_RUN_MAX / 1024 ** 2;
  if (state.spawnBytes + charactersOf(jobs) > SPAWN_BYTES_PER_RUN_MAX) {
    const message = `all that tasks of this run spawn takes ${mib} MiB of the log of the run at most, and that is used up: write shorter jobs, use "count", and give what is long as an artifact`;
    return { kind: 'run-too-large', message };
  }
  if (jobCount <= JOBS_PER_GRAPH_MAX && taskCount <= TASKS_PER_GRAPH_MAX) return undefined;
  const message = `the run would have ${jobCount} jobs and ${taskCount} tasks; ${JOBS_PER_GRAPH_MAX} and ${TASKS_PER_GRAPH_MAX} are possible`;
  return { kind: 'run-too-large', message };
}

/** The budgets of the task and of all above it: what is inherited can only become less. */
function refuseBudget(
  state: RunState,
  parent: number,
  jobs: readonly Job[],
): SpawnRefusal | undefined {
  let depth = 0;
  for (const task of lineOf(state, parent)) {
    depth += 1;
    const budget = state.index.jobs[state.index.jobOf(task)]?.spawn ?? {};
    const spent = state.spawns.get(task);
    const id = state.index.idOf(task);
    const raise = `raise it at that job's "spawn", or spawn less`;
    const most = budget.depth ?? SPAWN_DEPTH_DEFAULT;
    if (depth > most) {
      const message = `the budget "depth" of ${id} is ${most}, and this would be level ${depth} below it; ${raise}`;
      return { kind: 'budget-depth', message };
    }
    const tasks = (spent?.tasks ?? 0) + tasksIn(jobs);
    const tasksMost = budget.tasks ?? SPAWN_TASKS_DEFAULT;
    if (tasks > tasksMost) {
      const message = `the budget "tasks" of ${id} is ${tasksMost}, and with these there would be ${tasks} sub-tasks; ${raise}`;
      return { kind: 'budget-tasks', message };
    }
    if (state.spent.has(task))
      return { kind: 'budget-cpu-seconds', message: spentText(state, task) };
    const cpuSeconds = (spent?.cpuMs ?? 0) / 1_000;
    const cpuMost = budget.cpuSeconds ?? SPAWN_CPU_SECONDS_DEFAULT;
    if (cpuSeconds >= cpuMost) {
      const message = `the budget "cpuSeconds" of ${id} is ${cpuMost}, and its sub-tasks have used ${Math.floor(cpuSeconds)}; ${raise}`;
      return { kind: 'budget-cpu-seconds', message };
    }
  }
  return undefined;
}

/** What the jobs of a spawn take in the log; not less than their bytes by much, and the same for everybody. */
export function charactersOf(jobs: readonly Job[]): number {
  return JSON.stringify(jobs).length;
}

function tasksIn(jobs: readonly Job[]): number {
  return jobs.reduce((sum, { count = 1 }) => sum + count, 0);
}

function isSame(some: unknown, other: unknown): boolean {
  return canonicalJson(some) === canonicalJson(other);
}
