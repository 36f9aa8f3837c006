import type { JobId } from '../words/ids.ts';
import { assert } from '../words/unreachable.ts';
import { meetDependency } from './meet-dependency.ts';
import { progressOf, type RunState } from './run-state.ts';

/**
 * Whatever waits for a task that failed, or for all of its job, is skipped, and so on down the graph.
 * Other elements of an array job may still succeed, and whoever wants just those may still run. Of
 * an array that fails element by element only the first one looks at those that wait for all of it.
 */
export function skipDependents(state: RunState, job: number, failed: number): void {
  const culprit = jobIdOf(state, job);
  const first = progressOf(state, job).doomedBy === undefined;
  progressOf(state, job).doomedBy = culprit;
  const pending = [...state.index.dependentsOfTask(failed)];
  // One by one here and below: so many arguments as there may be jobs no call can have.
  if (first) for (const dependent of state.index.dependentsOfJob(job)) pending.push(dependent);
  // Of whoever wants to know how it exited, that is now known.
  for (const dependent of pending.filter((one) => asksForExit(state, one, culprit))) {
    meetDependency(state, dependent);
  }
  skipJobs(
    state,
    pending.filter((one) => !asksForExit(state, one, culprit)),
    culprit,
  );
}

function asksForExit({ index, tasks }: RunState, job: number, culprit: JobId): boolean {
  const when = index.jobs[job]?.when;
  if (when?.kind !== 'exit' || when.job !== culprit) return false;
  return tasks[index.firstTaskOf(index.positionOf(culprit))]?.kind === 'failed';
}

/** The same for a task that waits in a job which was found to wait in vain before: it alone is skipped. */
export function skipTask(state: RunState, task: number): void {
  const job = state.index.jobOf(task);
  const progress = progressOf(state, job);
  const culprit = progress.blockedBy;
  assert(culprit !== undefined, `task number ${task} is skipped for no reason`);
  if (!skipIfWaiting(state, task, culprit)) return;
  progress.doomedBy ??= culprit;
  const { index } = state;
  skipJobs(state, [...index.dependentsOfJob(job), ...index.dependentsOfTask(task)], culprit);
}

/**
 * A job may be at work, or even be done, when a job that it depends on has to be done again and
 * fails: then only those of its tasks that wait are skipped, and with them whoever waits for them.
 */
export function skipJobs(state: RunState, pending: number[], culprit: JobId): void {
  for (let job = pending.pop(); job !== undefined; job = pending.pop()) {
    const progress = progressOf(state, job);
    if (progress.blockedBy !== undefined || progress.unmet === 0) continue;
    progress.blockedBy = culprit;
    const skipped = skipWaiting(state, job, culprit);
    if (skipped.length === 0) continue;
    progress.doomedBy ??= culprit;
    for (const dependent of state.index.dependentsOfJob(job)) pending.push(dependent);
    for (const task of skipped) {
      for (const dependent of state.index.dependentsOfTask(task)) pending.push(dependent);
    }
  }
}

function skipWaiting(state: RunState, job: number, because: JobId): readonly number[] {
  const skipped: number[] = [];
  const first = state.index.firstTaskOf(job);
  for (let task = first; task < first + state.index.sizeOf(job); task += 1) {
    if (skipIfWaiting(state, task, because)) skipped.push(task);
  }
  return skipped;
}

function skipIfWaiting(state: RunState, task: number, because: JobId): boolean {
  const before = state.tasks[task];
  if (before?.kind !== 'waiting') return false;
  state.counts.skipped += 1;
  if (before.again === undefined) {
    state.tasks[task] = { kind: 'skipped', because };
    return true;
  }
  const { past, forgiven, sequence: fence } = before.again;
  state.tasks[task] = { kind: 'skipped', because, past, forgiven, fence };
  state.unfenced.add(task);
  return true;
}

function jobIdOf(state: RunState, job: number): JobId {
  const found = state.graph.jobs[job];
  assert(found !== undefined, `there is no job number ${job}`);
  return found.id;
}
