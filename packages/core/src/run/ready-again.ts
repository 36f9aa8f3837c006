import { progressOf, type RunState } from './run-state.ts';
import { skipTask } from './skip-dependents.ts';
import type { TaskAgain } from './task-state.ts';

/**
 * A task that was tried before may be tried again: at once; or, if what it depends on was lost since,
 * once that is there again; or never, if that cannot be made again.
 */
export function readyAgain(state: RunState, task: number, again: TaskAgain): void {
  const { unmet, blockedBy } = progressOf(state, state.index.jobOf(task));
  if (unmet === 0) {
    state.tasks[task] = { kind: 'ready', ...again };
    state.ready.add(task);
    return;
  }
  state.tasks[task] = { kind: 'waiting', again };
  if (blockedBy !== undefined) skipTask(state, task);
}
