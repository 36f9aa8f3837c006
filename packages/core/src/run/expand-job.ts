import type { Sequence } from '../ports.ts';
import { TASKS_PER_GRAPH_MAX } from '../words/limits.ts';
import { meetDependency } from './meet-dependency.ts';
import type { ExpansionFailed, Failure, JobExpanded } from './run-event.ts';
import { makeReady, progressOf, type RunState, taskTotal } from './run-state.ts';
import { skipDependents } from './skip-dependents.ts';
import { takeStandIn } from './take-stand-in.ts';
import { WAITING } from './task-state.ts';

/**
 * Folds `job-expanded`: the elements are tasks from now on, behind all others. The fence of the log lets only one
 * through; a cancelled or skipped job stays what it is, and only the place of its fence has moved.
 */
export function expandJob(
  state: RunState,
  task: number,
  event: JobExpanded,
  sequence: Sequence,
): void {
  if (takeStandIn(state, task, event, sequence) === undefined) return;
  const job = state.index.jobOf(task);
  const tasks = taskTotal(state) + event.count;
  if (tasks > TASKS_PER_GRAPH_MAX) {
    // Its driver could not know it: others grew the run at the same time.
    const message = `it cannot go over its ${event.count} elements: the run would have ${tasks} tasks, and ${TASKS_PER_GRAPH_MAX} are possible`;
    fail(state, task, { kind: 'output-missing', message });
    return;
  }
  const progress = progressOf(state, job);
  state.tasks[task] = { kind: 'expanded', count: event.count };
  state.expansions.set(job, event);
  const stranded = state.index.expand(job, event.count);
  for (let element = 0; element < event.count; element += 1) state.tasks.push(WAITING);
  progress.remaining += event.count - 1;
  for (const dependent of new Set(stranded)) strand(state, dependent, event);
  if (progress.unmet === 0) makeReady(state, job);
  if (progress.remaining > 0) return;
  for (const dependent of state.index.dependentsOfJob(job)) meetDependency(state, dependent);
}

/** Folds `expansion-failed`: all that the task stood for has failed. */
export function failExpansion(
  state: RunState,
  task: number,
  event: ExpansionFailed,
  sequence: Sequence,
): void {
  if (takeStandIn(state, task, event, sequence) === undefined) return;
  const job = state.index.jobOf(task);
  fail(state, task, event.failure);
  for (let other = task + 1; other < task + state.index.sizeOf(job); other += 1) {
    if (state.tasks[other]?.kind === 'waiting') fail(state, other, event.failure);
  }
}

/** A job that waits for an element which there is not. */
function strand(state: RunState, job: number, { task: id, count }: JobExpanded): void {
  const message = `it reads an element that ${id} does not have: there are ${count}, numbered from 0`;
  const first = state.index.firstTaskOf(job);
  const own = state.index.jobs[job]?.id;
  progressOf(state, job).blockedBy ??= own;
  for (let task = first; task < first + state.index.sizeOf(job); task += 1) {
    if (state.tasks[task]?.kind !== 'waiting') continue;
    fail(state, task, { kind: 'input-missing', message });
  }
}

function fail(state: RunState, task: number, failure: Failure): void {
  state.tasks[task] = { kind: 'failed', past: [], failure };
  state.counts.failed += 1;
  skipDependents(state, state.index.jobOf(task), task);
}
