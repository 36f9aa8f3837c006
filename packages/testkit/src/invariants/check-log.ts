import {
  type Logged,
  type OutputsLost,
  RERUNS_PER_TASK_MAX,
  type RunEnded,
  type RunId,
  type TaskEvent,
  type TaskId,
} from '@podmesh/core';

/** A broken invariant in words; an empty list means that all hold. */
export type Violation = string;

/** All invariants of the run log: each run's, in the order of the runs. */
export function checkLog(entries: readonly Logged[]): readonly Violation[] {
  const runs = new Map<RunId, Logged[]>();
  for (const entry of entries) {
    const list = runs.get(entry.event.run);
    if (list === undefined) runs.set(entry.event.run, [entry]);
    else list.push(entry);
  }
  return [...runs].flatMap(([run, facts]) => checkRun(facts).map((what) => `run ${run}: ${what}`));
}

/** Whether every published run has its `run-ended`; to be asked when the simulation is over. */
export function checkAllEnded(entries: readonly Logged[]): readonly Violation[] {
  const ended = new Set<RunId>();
  const published = new Set<RunId>();
  for (const { event } of entries) {
    if (event.kind === 'run-ended') ended.add(event.run);
    if (event.kind === 'run-published') published.add(event.run);
  }
  return [...published].filter((run) => !ended.has(run)).map((run) => `run ${run}: never ended`);
}

/** The facts of one run, in order. */
export function checkRun(facts: readonly Logged[]): readonly Violation[] {
  const tasks = taskEvents(facts);
  return [
    ...checkShape(facts),
    ...[...tasks].flatMap(([task, events]) => checkTask(task, events)),
    ...checkCounts(facts, tasks),
  ];
}

/** All that is said of one task, wherever it is appended. */
export type TaskFact = TaskEvent | OutputsLost;

/** The facts of each task, in order. Of a cancelled run nobody needs anything: its losses are none. */
export function taskEvents(facts: readonly Logged[]): ReadonlyMap<TaskId, readonly TaskFact[]> {
  const tasks = new Map<TaskId, TaskFact[]>();
  let isCancelled = false;
  for (const { event } of facts) {
    if (event.kind === 'run-cancel-requested') isCancelled = true;
    if (!('task' in event) || (isCancelled && event.kind === 'outputs-lost')) continue;
    const list = tasks.get(event.task);
    if (list === undefined) tasks.set(event.task, [event]);
    else list.push(event);
  }
  return tasks;
}

/**
 * Facts of people, who may come too late: nothing fences them against the end. Nor what an attempt spawns, which
 * the fold does not accept there.
 */
const UNFENCED: readonly string[] = [
  'run-cancel-requested',
  'task-released',
  'tasks-spawned',
  'sub-tasks-dropped',
  'budget-spent',
];

/** First fact, last fact. */
function checkShape(facts: readonly Logged[]): readonly Violation[] {
  const kinds = facts.map(({ event }) => event.kind);
  const violations: Violation[] = [];
  if (kinds[0] !== 'run-published') violations.push(`begins with ${kinds[0]}`);
  if (kinds.lastIndexOf('run-published') > 0) violations.push('was published twice');
  const end = kinds.indexOf('run-ended');
  if (end < 0) return violations;
  for (const kind of kinds.slice(end + 1)) {
    if (!UNFENCED.includes(kind)) violations.push(`${kind} after its end`);
  }
  return violations;
}

/**
 * started(n) → exactly one of succeeded, failed, lost (n, same claim) → (released →) started(n+1) …;
 * nothing follows a success or a cached result but where its outputs are, or that they were lost: then the task is to
 * be done again. Nothing at all follows a cancellation of the task.
 */
function checkTask(task: TaskId, events: readonly TaskFact[]): readonly Violation[] {
  const violations: Violation[] = [];
  const before: Before = { last: undefined, attempts: 0, losses: 0 };
  for (const event of events) {
    const problem = follows(event, before);
    if (problem !== undefined) violations.push(`task ${task}: ${problem}`);
    if (event.kind === 'attempt-started') before.attempts = event.attempt;
    if (event.kind === 'outputs-lost') before.losses += 1;
    if (event.kind !== 'outputs-kept') before.last = event;
  }
  return violations;
}

/** What the facts of a task say before the next one. */
interface Before {
  /** The last but for `outputs-kept`, which settles and opens nothing. */
  last: TaskFact | undefined;
  attempts: number;
  losses: number;
}

const SUCCESS: readonly string[] = ['attempt-succeeded', 'task-cached'];

function follows(event: TaskFact, { last, attempts, losses }: Before): Violation | undefined {
  const after = last === undefined ? 'nothing' : name(last);
  const isSuccess = last !== undefined && SUCCESS.includes(last.kind);
  if (event.kind === 'outputs-lost') {
    if (!isSuccess) return `${name(event)} after ${after}`;
    if (event.rerun !== losses + 1) return `${name(event)} says rerun ${event.rerun}`;
    return losses < RERUNS_PER_TASK_MAX ? undefined : `${name(event)} once too often`;
  }
  if (event.kind === 'outputs-kept') {
    // Drivers tell of both; a loss is not refused to one that has not seen where the outputs are.
    const fits = isSuccess || last?.kind === 'outputs-lost';
    if (!fits) return `${name(event)} after ${after}`;
    const { keepers, wanted, short } = event;
    if (new Set(keepers).size < keepers.length) return `${name(event)} on ${keepers}`;
    const isEnough = keepers.length >= wanted || short !== undefined;
    return isEnough ? undefined : `${name(event)} on ${keepers.length} of ${wanted}, and not why`;
  }
  if (isSuccess || last?.kind === 'task-cancelled') {
    return `${name(event)} after ${after}: it was settled`;
  }
  switch (event.kind) {
    case 'task-cached':
    case 'task-cancelled':
      return last?.kind === 'attempt-started' ? `${name(event)} while ${after} is open` : undefined;
    case 'attempt-started': {
      const fits = last?.kind !== 'attempt-started' && event.attempt === attempts + 1;
      return fits ? undefined : `${name(event)} after ${after}`;
    }
    case 'job-expanded':
    case 'expansion-failed':
    case 'when-decided':
      return last === undefined || last.kind === 'when-decided'
        ? undefined
        : `${name(event)} after ${after}`;
    case 'task-released':
      // Which losses are one too many is the retry policy's matter.
      return last?.kind === 'attempt-lost' || last?.kind === 'attempt-failed'
        ? undefined
        : `${name(event)} after ${after}`;
    case 'attempt-succeeded':
    case 'attempt-failed':
    case 'attempt-lost': {
      if (last?.kind !== 'attempt-started' || last.attempt !== event.attempt) {
        return `${name(event)} after ${after}`;
      }
      return last.claim === event.claim ? undefined : `${name(event)} with a foreign claim`;
    }
  }
}

function name(event: TaskFact): string {
  return 'attempt' in event ? `${event.kind}(${event.attempt})` : event.kind;
}

/** The counts of `run-ended` against what the tasks' last events say. */
function checkCounts(
  facts: readonly Logged[],
  tasks: ReadonlyMap<TaskId, readonly TaskFact[]>,
): readonly Violation[] {
  const end = facts.find(({ event }) => event.kind === 'run-ended')?.event;
  const first = facts[0]?.event;
  if (end?.kind !== 'run-ended' || first?.kind !== 'run-published') return [];
  const last = [...tasks.values()].map(
    (events) => events.findLast(({ kind }) => kind !== 'outputs-kept')?.kind,
  );
  const cached = last.filter((kind) => kind === 'task-cached').length;
  const succeeded = cached + last.filter((kind) => kind === 'attempt-succeeded').length;
  const open = last.filter((kind) => kind === 'attempt-started').length;
  const tried = last.length - succeeded;
  const { counts } = end;
  const taskCount = first.taskCount + spawnedTasks(facts) + expandedTasks(facts);
  const total = counts.succeeded + counts.failed + counts.skipped + counts.cancelled;
  return [
    ...differs('succeeded', counts.succeeded, succeeded),
    ...differs('cached', counts.cached, cached),
    ...differs('all counts together', total, taskCount),
    ...(counts.failed > tried ? [`says ${counts.failed} failed, at most ${tried} can have`] : []),
    ...(open > 0 ? [`ended with ${open} open attempts`] : []),
    ...checkState(end, taskCount, facts),
  ];
}

/** Elements of `forEach` jobs, less the one that stood for each; of a cancelled run nothing is expanded any more. */
function expandedTasks(facts: readonly Logged[]): number {
  let tasks = 0;
  for (const { event } of facts) {
    if (event.kind === 'run-cancel-requested') return tasks;
    if (event.kind === 'job-expanded') tasks += event.count - 1;
  }
  return tasks;
}

/**
 * Tasks that were spawned by an attempt that was open at that place, each key of a task once. Told apart from
 * the fold, which also looks at names and budgets: workloads keep to those.
 */
function spawnedTasks(facts: readonly Logged[]): number {
  const open = new Map<TaskId, string>();
  const keys = new Set<string>();
  let tasks = 0;
  for (const { event } of facts) {
    if (event.kind === 'run-ended' || event.kind === 'run-cancel-requested') return tasks;
    if (event.kind === 'attempt-started') open.set(event.task, event.claim);
    else if ('task' in event) open.delete(event.task);
    if (event.kind !== 'tasks-spawned' || open.get(event.parent) !== event.claim) continue;
    const key = `${event.parent} ${event.key}`;
    if (keys.has(key)) continue;
    keys.add(key);
    tasks += event.jobs.reduce((sum, { count = 1 }) => sum + count, 0);
  }
  return tasks;
}

function checkState(end: RunEnded, taskCount: number, facts: readonly Logged[]): Violation[] {
  const complete = end.counts.succeeded === taskCount;
  // A task may have gone on without what it spawned.
  const mayLack = facts.some(({ event }) => ['tasks-spawned', 'when-decided'].includes(event.kind));
  const wrong =
    end.state === 'succeeded' ? !complete && !mayLack : end.state === 'failed' && complete;
  return wrong ? [`ended ${end.state} with ${end.counts.succeeded} of ${taskCount} succeeded`] : [];
}

function differs(what: string, said: number, seen: number): readonly Violation[] {
  return said === seen ? [] : [`says ${what}: ${said}, the log shows ${seen}`];
}
