import type { Sequence } from '../ports.ts';
import { spentAbove, spentText } from './cpu-budget.ts';
import type { SubTasksDropped } from './run-event.ts';
import type { RunState } from './run-state.ts';
import { skipDependents } from './skip-dependents.ts';
import { lineOf, spawnsOf } from './spawn-line.ts';
import { tasksOf } from './spawn-tasks.ts';
import { isSettled, type TaskRunning } from './task-state.ts';

/**
 * Folds `sub-tasks-dropped`: as with `tasks-spawned`, it is a fact of the run only while the parent's attempt is the open
 * one at this place of the stream. What has not begun never does; what runs is told to end by the driver; what is settled
 * stays as it is. All that they spawned themselves goes with them.
 */
export function dropTasks(state: RunState, event: SubTasksDropped, sequence: Sequence): void {
  const parent = state.index.numberOf(event.parent);
  if (parent === undefined) return;
  const spawns = spawnsOf(state, parent);
  spawns.sequence = sequence;
  spawns.refusal = undefined;
  const now = state.tasks[parent];
  const isOpen =
    now?.kind === 'running' && now.claim === event.claim && now.attempt === event.attempt;
  if (!isOpen || state.cancelRequested) return;
  for (const id of event.tasks) {
    const task = state.index.numberOf(id);
    const isBelow = task !== undefined && task !== parent && isIn(lineOf(state, task), parent);
    if (isBelow) dropTask(state, task);
  }
}

/** The attempts that are to end although nobody cancelled the run: what was dropped, and what nobody is left to read. */
export function* droppedAttempts(
  state: RunState,
): Iterable<{ readonly task: number; readonly now: TaskRunning }> {
  for (const task of state.dropped) {
    const now = state.tasks[task];
    if (now?.kind === 'running') yield { task, now };
  }
  // Not a matter of the fold: logs of before tell of sub-tasks that were tried again when their parent had failed.
  const hasReason = state.counts.failed > 0 || state.spent.size > 0;
  if (state.parents.size === 0 || !hasReason) return;
  for (const task of state.running) {
    const now = state.tasks[task];
    if (now?.kind !== 'running' || state.dropped.has(task)) continue;
    if (isOrphan(state, task) || spentAbove(state, task) !== undefined) yield { task, now };
  }
}

/** Why such an attempt is to end, for people. */
export function whyStopped(state: RunState, task: number): string {
  const owner = state.dropped.has(task) ? undefined : spentAbove(state, task);
  if (owner !== undefined) return spentText(state, owner);
  return 'the task that spawned it wants it no more, or has failed';
}

/** A task above it has failed for good. */
function isOrphan(state: RunState, task: number): boolean {
  for (const above of lineOf(state, task))
    if (above !== task && state.tasks[above]?.kind === 'failed') return true;
  return false;
}

/** How many tasks are cancelled because their parent dropped them: that is its business, and no end of the run. */
export function droppedCount(state: RunState): number {
  let count = 0;
  for (const task of state.dropped) if (state.tasks[task]?.kind === 'cancelled') count += 1;
  return count;
}

/** The attempt of a dropped task has ended: nobody waits for it, nor for what it spawned since. */
export function endDropped(state: RunState, task: number): void {
  skipDependents(state, state.index.jobOf(task), task);
  dropBelow(state, task);
}

/** A task that was not begun, or ended its attempt, is cancelled: an offer still on its way is to be fenced. */
export function cancelTask(state: RunState, task: number): void {
  const before = state.tasks[task];
  if (before?.kind !== 'waiting' && before?.kind !== 'ready' && before?.kind !== 'held') return;
  state.counts.cancelled += 1;
  const again = before.kind === 'waiting' ? before.again : before;
  if (again === undefined || !('forgiven' in again)) {
    state.tasks[task] = { kind: 'cancelled', past: again?.past ?? [] };
    return;
  }
  const { past, forgiven, sequence } = again;
  state.tasks[task] = { kind: 'cancelled', past, forgiven, fence: sequence };
  state.unfenced.add(task);
}

function dropTask(state: RunState, task: number): void {
  const before = state.tasks[task];
  if (before !== undefined && !isSettled(before)) {
    state.dropped.add(task);
    cancelTask(state, task);
    state.ready.delete(task);
    state.held.delete(task);
    // Also of what is at work: whether it ends before or after its parent must not decide how the run ends.
    skipDependents(state, state.index.jobOf(task), task);
  }
  dropBelow(state, task);
}

function dropBelow(state: RunState, task: number): void {
  for (const spawned of state.spawns.get(task)?.byKey.values() ?? []) {
    for (const below of tasksOf(state, spawned)) dropTask(state, below);
  }
}

function isIn(line: Iterable<number>, task: number): boolean {
  for (const one of line) if (one === task) return true;
  return false;
}
