import { progressOf, type RunState } from './run-state.ts';
import { skipDependents } from './skip-dependents.ts';
import { lineOf } from './spawn-line.ts';
import { tasksOf } from './spawn-tasks.ts';

/**
 * A task that succeeded although something that it spawned did not: it knew, or could have, and went on. Those
 * failures do not fail the run. What fails later does: nobody is left to judge it.
 */
export function handleFailures(state: RunState, parent: number): void {
  for (const task of subTasksOf(state, parent)) {
    const kind = state.tasks[task]?.kind;
    if (kind === 'failed' || kind === 'skipped') state.handled.add(task);
  }
}

/** What a task spawned, and then failed for good, is wanted by nobody: what is not at work of it is skipped. */
export function abandonSubTasks(state: RunState, parent: number): void {
  const culprit = state.index.jobs[state.index.jobOf(parent)]?.id;
  if (culprit === undefined) return;
  for (const task of subTasksOf(state, parent)) {
    const before = state.tasks[task];
    // Nor is a person to be waited for.
    const isIdle =
      before?.kind === 'waiting' || before?.kind === 'ready' || before?.kind === 'held';
    if (!isIdle) continue;
    const job = state.index.jobOf(task);
    const again = before.kind === 'waiting' ? before.again : before;
    state.ready.delete(task);
    state.held.delete(task);
    state.counts.skipped += 1;
    if (again === undefined || !('forgiven' in again)) {
      const past = again === undefined ? {} : { past: again.past };
      state.tasks[task] = { kind: 'skipped', because: culprit, ...past };
    } else {
      const { past, forgiven, sequence: fence } = again;
      state.tasks[task] = { kind: 'skipped', because: culprit, past, forgiven, fence };
      state.unfenced.add(task);
    }
    progressOf(state, job).blockedBy ??= culprit;
    skipDependents(state, job, task);
  }
}

/** How many tasks that failed, or were skipped, count against the run. Costs as much as there are sub-tasks. */
export function unhandledFailures(state: RunState): number {
  const { failed, skipped } = state.counts;
  if (state.handled.size === 0) return failed + skipped;
  let handled = 0;
  for (const task of state.handled) {
    const kind = state.tasks[task]?.kind;
    const isOfDocument = !state.parents.has(state.index.jobOf(task));
    if (isOfDocument && (kind === 'failed' || kind === 'skipped')) handled += 1;
  }
  for (const job of state.parents.keys()) {
    const first = state.index.firstTaskOf(job);
    for (let task = first; task < first + state.index.sizeOf(job); task += 1) {
      const kind = state.tasks[task]?.kind;
      if ((kind === 'failed' || kind === 'skipped') && isHandled(state, task)) handled += 1;
    }
  }
  return failed + skipped - handled;
}

/** Also of what a task spawned whose own failure was handled. */
function isHandled(state: RunState, task: number): boolean {
  for (const above of lineOf(state, task)) if (state.handled.has(above)) return true;
  return false;
}

function* subTasksOf(state: RunState, parent: number): Iterable<number> {
  for (const spawned of state.spawns.get(parent)?.byKey.values() ?? []) {
    for (const task of tasksOf(state, spawned)) {
      yield task;
      yield* subTasksOf(state, task);
    }
  }
}
