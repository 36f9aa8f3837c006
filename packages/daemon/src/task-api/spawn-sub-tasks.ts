import {
  canonicalJson,
  type GraphProblem,
  judgeSpawn,
  parseSpawn,
  type RunLog,
  type RunState,
  type Sha256,
  type SpawnRefusal,
  spawnerOf,
  spawnSequence,
  type TaskId,
  type TasksSpawned,
  tasksOf,
  unreachable,
} from '@podmesh/core';
import type { RunFeed } from './run-feed.ts';
import { TaskApiError, type TaskApiErrorCode } from './task-api-error.ts';
import { APPEND_MS_MAX, SPAWN_TRIES_MAX } from './task-api-limits.ts';
import type { TaskAtWork } from './task-at-work.ts';

export interface SpawnParts {
  readonly log: Pick<RunLog, 'append'>;
  readonly sha256: Sha256;
}

/** What a task asks for. */
export interface SpawnOrder {
  readonly key: string;
  readonly jobs: readonly unknown[];
}

export interface Spawned {
  readonly key: string;
  readonly tasks: readonly {
    readonly task: TaskId;
    readonly job: string;
    readonly index?: number;
  }[];
}

/** The key of an order that has none: equal orders of one task are the same order. */
export function keyOfJobs(jobs: readonly unknown[], sha256: Sha256): string {
  return `of-${sha256(canonicalJson(jobs)).slice(0, 16)}`;
}

/**
 * Appends what a task asks for and answers once everybody who reads the log knows it; what is there under the same key
 * already, from this attempt or an earlier one, is answered without another fact. Throws `TaskApiError`.
 */
export async function spawnSubTasks(
  { log, sha256 }: SpawnParts,
  feed: RunFeed,
  task: TaskAtWork,
  order: SpawnOrder,
): Promise<Spawned> {
  const signal = AbortSignal.any([task.over.signal, AbortSignal.timeout(APPEND_MS_MAX)]);
  let seen = task.startedSequence;
  for (let tries = 0; tries < SPAWN_TRIES_MAX; tries += 1) {
    const next = await feed.find((state) => plan(state, task, order, sha256), signal, seen);
    if (next === undefined) break;
    if (next.kind === 'done') return next.spawned;
    const appended = await log.append(next.event, next.expected);
    if (appended.ok) {
      seen = appended.value;
      const place = seen;
      const end = (state: RunState) => verdictOf(state, order.key, next.event, place);
      const spawned = await feed.find(end, signal, place);
      if (spawned !== undefined) return spawned;
      break;
    }
    // Somebody wrote there meanwhile: whatever it was, it is read before this is tried again.
    const isNewer = (state: RunState) =>
      spawnSequence(state, next.event.parent) > next.expected || undefined;
    await feed.find(isNewer, signal);
  }
  throw new TaskApiError('mesh-unavailable', 'the run log did not take this in time; ask again');
}

type Plan =
  | { readonly kind: 'done'; readonly spawned: Spawned }
  | { readonly kind: 'append'; readonly event: TasksSpawned; readonly expected: number };

function plan(state: RunState, task: TaskAtWork, order: SpawnOrder, sha256: Sha256): Plan {
  const { run, task: parent, attempt } = task.offer;
  const spawner = spawnerOf(state, parent, sha256);
  if (spawner === undefined)
    throw new TaskApiError('internal', `the log of the run does not know ${parent}`);
  const parsed = parseSpawn(order, spawner);
  if (!parsed.ok) throw new TaskApiError('bad-request', problemText(parsed.error));
  const { claim } = task;
  const { key } = order;
  const jobs = parsed.value;
  const event: TasksSpawned = { kind: 'tasks-spawned', run, parent, attempt, claim, key, jobs };
  const spawned = verdictOf(state, key, event);
  if (spawned !== undefined) return { kind: 'done', spawned };
  return { kind: 'append', event, expected: spawnSequence(state, parent) };
}

/** Undefined: not known yet. Throws for a refusal. */
function verdictOf(
  state: RunState,
  key: string,
  event: TasksSpawned,
  sequence?: number,
): Spawned | undefined {
  const verdict = judgeSpawn(state, event, sequence);
  switch (verdict.kind) {
    case 'unknown':
      return undefined;
    case 'refused':
      throw new TaskApiError(CODES[verdict.refusal.kind], verdict.refusal.message);
    case 'accepted':
      return { key, tasks: tasksOf(state, verdict.jobs).map((task) => named(state, task)) };
    default:
      return unreachable(verdict);
  }
}

function named(state: RunState, task: number): Spawned['tasks'][number] {
  const index = state.index.elementOf(task);
  const job = state.index.jobs[state.index.jobOf(task)]?.id ?? '';
  return { task: state.index.idOf(task), job, ...(index === undefined ? {} : { index }) };
}

const CODES: Readonly<Record<SpawnRefusal['kind'], TaskApiErrorCode>> = {
  'stale-attempt': 'attempt-over',
  'run-over': 'attempt-over',
  'key-taken': 'conflict',
  'id-taken': 'conflict',
  'out-of-reach': 'bad-request',
  'too-many-jobs': 'too-large',
  'run-too-large': 'too-large',
  'budget-depth': 'budget-exceeded',
  'budget-tasks': 'budget-exceeded',
  'budget-cpu-seconds': 'budget-exceeded',
};

function problemText(problems: readonly GraphProblem[]): string {
  return problems.map(({ path, problem, advice }) => `${path}: ${problem}. ${advice}`).join('\n');
}
