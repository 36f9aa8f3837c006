import type { Job } from '../graph/graph.ts';
import type { Dependency } from '../graph/task-index.ts';
import type { JobId } from '../words/ids.ts';
import { makeReady, noteReaders, progressOf, type RunState } from './run-state.ts';
import { skipJobs } from './skip-dependents.ts';
import { WAITING } from './task-state.ts';

/** Adds jobs to a run that is going on. What they depend on may be done already, or be past hope. */
export function appendJobs(state: RunState, jobs: readonly Job[]): void {
  const first = state.index.append(jobs);
  for (let job = first; job < first + jobs.length; job += 1) {
    const size = state.index.sizeOf(job);
    for (let task = 0; task < size; task += 1) state.tasks.push(WAITING);
    state.isRead.push(0);
    state.jobs.push({ unmet: 0, remaining: size, doomedBy: undefined, blockedBy: undefined });
  }
  noteReaders(state, jobs);
  for (let job = first; job < first + jobs.length; job += 1) {
    const dependencies = state.index.dependenciesOf(job);
    progressOf(state, job).unmet = dependencies.filter((one) => !isMet(state, one)).length;
  }
  for (let job = first; job < first + jobs.length; job += 1) begin(state, job);
}

function begin(state: RunState, job: number): void {
  const progress = progressOf(state, job);
  if (progress.unmet === 0) makeReady(state, job);
  for (const one of state.index.dependenciesOf(job)) {
    const culprit = hopeless(state, one);
    if (culprit !== undefined) skipJobs(state, [job], culprit);
  }
}

function isMet(state: RunState, awaited: Dependency): boolean {
  if (awaited.kind === 'task') return state.tasks[awaited.task]?.kind === 'succeeded';
  return progressOf(state, awaited.job).remaining === 0;
}

/** Whose fault it is that it never will be met; undefined while it may. */
function hopeless(state: RunState, awaited: Dependency): JobId | undefined {
  const { doomedBy } = progressOf(state, awaited.job);
  if (awaited.kind === 'job' || doomedBy === undefined) return doomedBy;
  const kind = state.tasks[awaited.task]?.kind;
  return kind === 'failed' || kind === 'skipped' ? doomedBy : undefined;
}
