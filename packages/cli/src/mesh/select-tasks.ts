import type { JobId, TaskId } from '@podmesh/core';
import type { LoadedRun } from '@podmesh/sdk';
import { noSuchTask } from './no-such-task.ts';

/**
 * Numbers of the tasks that a person means: one task, all elements of an array job (of one without
 * elements what stood for it), or everything.
 * Throws `no-such-task`.
 */
export function selectTasks(loaded: LoadedRun, named: TaskId | undefined): readonly number[] {
  const count =
    loaded.kind === 'logged' ? loaded.state.index.taskCount : loaded.record.tasks.length;
  if (named === undefined) return numbers(0, count);
  const found = loaded.kind === 'logged' ? inState(loaded, named) : inRecord(loaded, named);
  if (found.length > 0) return found;
  throw noSuchTask(loaded.run, named, jobsOf(loaded));
}

function inState(
  { state }: Extract<LoadedRun, { kind: 'logged' }>,
  named: TaskId,
): readonly number[] {
  const number = state.index.numberOf(named);
  const task = number === undefined ? undefined : state.tasks[number];
  const isList = task?.kind === 'expanded' && task.count > 0;
  if (number !== undefined && !isList) return [number];
  const job = state.graph.jobs.findIndex(({ id }) => id === (named as string));
  return job < 0 ? [] : numbers(state.index.firstTaskOf(job), state.index.sizeOf(job));
}

function inRecord(
  { record }: Extract<LoadedRun, { kind: 'recorded' }>,
  named: TaskId,
): readonly number[] {
  const all = [...record.tasks.entries()];
  const one = all.filter(([, { task }]) => task === named);
  const isList = one.some(([, { elements }]) => elements !== undefined && elements > 0);
  const chosen =
    one.length > 0 && !isList ? one : all.filter(([, { job }]) => job === (named as string));
  return chosen.map(([number]) => number);
}

function jobsOf(loaded: LoadedRun): readonly JobId[] {
  if (loaded.kind === 'logged') return loaded.state.graph.jobs.map(({ id }) => id);
  return [...new Set(loaded.record.tasks.map(({ job }) => job))];
}

const numbers = (first: number, count: number): readonly number[] =>
  Array.from({ length: count }, (_, offset) => first + offset);
