import { wantedCopies } from './keep-outputs.ts';
import { progressOf, type RunState } from './run-state.ts';
import { isSettled } from './task-state.ts';

/**
 * Tasks of the job at `position` that left bytes on disks which nobody is going to read any more: others read them,
 * all those are settled, and nobody asked for them to be kept. Empty as long as that is not so for the whole job. What
 * is lost later may have to be made again from them: then they are made again first.
 */
export function spentTasks(state: RunState, position: number): readonly number[] {
  const job = state.graph.jobs[position];
  if (job === undefined || job.keep === true || job.replicas !== undefined) return [];
  if (state.isRead[position] === 0 || !isJobSettled(state, position)) return [];
  // Whoever spawned it may still spawn more that reads it.
  const parent = state.parents.get(position);
  const spawner = parent === undefined ? undefined : state.tasks[parent];
  if (spawner !== undefined && !isSettled(spawner)) return [];
  const first = state.index.firstTaskOf(position);
  const spent: number[] = [];
  const readers = new Set(state.index.dependentsOfJob(position));
  for (let task = first; task < first + state.index.sizeOf(position); task += 1) {
    for (const reader of state.index.dependentsOfTask(task)) readers.add(reader);
    const now = state.tasks[task];
    const isBulk = now?.kind === 'succeeded' && now.result.bulk === true;
    if (isBulk && wantedCopies(state, task) === 1) spent.push(task);
  }
  return [...readers].every((reader) => isJobSettled(state, reader)) ? spent : [];
}

function isJobSettled(state: RunState, position: number): boolean {
  if (progressOf(state, position).remaining === 0) return true;
  if (state.counts.failed + state.counts.skipped + state.counts.cancelled === 0) return false;
  const first = state.index.firstTaskOf(position);
  for (let task = first; task < first + state.index.sizeOf(position); task += 1) {
    const now = state.tasks[task];
    if (now === undefined || !isSettled(now)) return false;
  }
  return true;
}
