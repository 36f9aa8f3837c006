import type { Sequence } from '../ports.ts';
import { assert } from '../words/unreachable.ts';
import { readyAgain } from './ready-again.ts';
import type { OutputsLost } from './run-event.ts';
import { progressOf, type RunState } from './run-state.ts';
import type { TaskReady } from './task-state.ts';

/**
 * Folds `outputs-lost`: the task is done again, and whoever depends on it and is not at work waits for
 * that. What runs or is settled stays as it is. All losses of a run, and its end, are in one row: whoever appended
 * this one has seen those before it, so the task has succeeded. Of a cancelled run nobody needs anything.
 */
export function loseOutputs(state: RunState, event: OutputsLost, sequence: Sequence): void {
  assert(event.behind === state.lossSequence, `${event.task}: lost by who had not seen all losses`);
  state.lossSequence = sequence;
  if (state.cancelRequested) return;
  const task = state.index.numberOf(event.task);
  assert(task !== undefined, `the log names task ${event.task}, the graph does not`);
  const before = state.tasks[task];
  assert(
    before?.kind === 'succeeded',
    `${event.task}: its outputs were lost while ${before?.kind}`,
  );
  state.counts.succeeded -= 1;
  if (before.cached) state.counts.cached -= 1;
  state.unkept.delete(task);
  state.reruns.set(task, event.rerun);
  unmeetDependents(state, task);
  const { past } = before;
  readyAgain(state, task, { past, forgiven: past.length, sequence: before.sequence });
}

function unmeetDependents(state: RunState, task: number): void {
  const job = state.index.jobOf(task);
  const progress = progressOf(state, job);
  const wasComplete = progress.remaining === 0;
  progress.remaining += 1;
  for (const dependent of state.index.dependentsOfTask(task)) unmeet(state, dependent);
  if (!wasComplete) return;
  for (const dependent of state.index.dependentsOfJob(job)) unmeet(state, dependent);
}

function unmeet(state: RunState, job: number): void {
  const progress = progressOf(state, job);
  progress.unmet += 1;
  if (progress.unmet > 1) return;
  const first = state.index.firstTaskOf(job);
  for (let task = first; task < first + state.index.sizeOf(job); task += 1) {
    const before = state.tasks[task];
    if (before?.kind !== 'ready') continue;
    const { past, sequence } = before;
    const again = { past, forgiven: forgivenOf(before), sequence };
    state.tasks[task] = { kind: 'waiting', again };
    state.ready.delete(task);
  }
}

/** That its input was lost is no fault of the task, and the next loss must find its budget whole. */
function forgivenOf({ past, forgiven }: TaskReady): number {
  const last = past.at(-1)?.outcome;
  const wasMissing =
    typeof last === 'object' && last.failure.kind === 'input-missing' && forgiven < past.length;
  return wasMissing ? past.length : forgiven;
}
