import type { JobId } from '../words/ids.ts';
import { assert } from '../words/unreachable.ts';
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
  if (first) pending.push(...state.index.dependentsOfJob(job));
  for (let at = pending.pop(); at !== undefined; at = pending.pop()) {
    const progress = progressOf(state, at);
    if (progress.doomedBy !== undefined || progress.unmet === 0) continue;
    progress.doomedBy = culprit;
    skipWaiting(state, at, culprit);
    pending.push(...state.index.dependentsOfJob(at), ...elementDependents(state, at));
  }
}

/** Jobs that wait for single elements of a job, of which none can succeed any more. */
function* elementDependents(state: RunState, job: number): Iterable<number> {
  const first = state.index.firstTaskOf(job);
  for (let task = first; task < first + state.index.sizeOf(job); task += 1) {
    yield* state.index.dependentsOfTask(task);
  }
}

function skipWaiting(state: RunState, job: number, because: JobId): void {
  const first = state.index.firstTaskOf(job);
  for (let task = first; task < first + state.index.sizeOf(job); task += 1) {
    if (state.tasks[task]?.kind !== 'waiting') continue;
    state.tasks[task] = { kind: 'skipped', because };
    state.counts.skipped += 1;
  }
}

function jobIdOf(state: RunState, job: number): JobId {
  const found = state.graph.jobs[job];
  assert(found !== undefined, `there is no job number ${job}`);
  return found.id;
}
