import {
  type RunLog,
  type RunState,
  type SubTasksDropped,
  spawnSequence,
  type TaskId,
} from '@podmesh/core';
import type { RunFeed } from './run-feed.ts';
import type { SubTaskView } from './sub-task-view.ts';
import { TaskApiError } from './task-api-error.ts';
import { APPEND_MS_MAX, SPAWN_TRIES_MAX } from './task-api-limits.ts';
import type { TaskAtWork } from './task-at-work.ts';

export interface Dropping {
  readonly log: Pick<RunLog, 'append'>;
  readonly feed: RunFeed;
  readonly task: TaskAtWork;
  /** The sub-task as it is. Throws when it is none of this task's. */
  readonly look: (state: RunState) => SubTaskView;
}

/** Tells the log that a sub-task is wanted no more, unless it is settled or was told so; how it is then. Throws `TaskApiError`. */
export async function dropSubTask({ log, feed, task, look }: Dropping): Promise<SubTaskView> {
  const signal = AbortSignal.any([task.over.signal, AbortSignal.timeout(APPEND_MS_MAX)]);
  const { run, task: parent, attempt } = task.offer;
  const see = (state: RunState) => {
    const view = look(state);
    const isDropped = view.settled || wasDropped(state, view.task);
    return { view, isDropped, expected: spawnSequence(state, parent) };
  };
  let seen = task.startedSequence;
  for (let tries = 0; tries < SPAWN_TRIES_MAX; tries += 1) {
    const now = await feed.find(see, signal, seen);
    if (now === undefined) break;
    if (now.isDropped) return now.view;
    // It was told, and read again, and the log did not take it for a fact.
    if (seen > task.startedSequence)
      throw new TaskApiError('attempt-over', 'this attempt is not at work any more');
    const { claim } = task;
    const tasks = [now.view.task];
    const event: SubTasksDropped = {
      kind: 'sub-tasks-dropped',
      run,
      parent,
      attempt,
      claim,
      tasks,
    };
    const appended = await log.append(event, now.expected);
    if (appended.ok) seen = appended.value;
    else {
      const isNewer = (state: RunState) => spawnSequence(state, parent) > now.expected || undefined;
      await feed.find(isNewer, signal);
    }
  }
  throw new TaskApiError('mesh-unavailable', 'the run log did not take this in time; ask again');
}

function wasDropped(state: RunState, task: TaskId): boolean {
  const number = state.index.numberOf(task);
  return number !== undefined && state.dropped.has(number);
}
