import type { Sequence } from '../ports.ts';
import { REPLICAS_DEFAULT } from '../words/limits.ts';
import { assert } from '../words/unreachable.ts';
import type { OutputsKept } from './run-event.ts';
import type { RunState } from './run-state.ts';

/**
 * How many copies of a success's outputs there should be. Small ones are in the object store, where
 * the anchors keep them. What other jobs read is not wanted any longer than the run; what nobody
 * reads is what the run is for, unless a task spawned it: then it is for that task.
 */
export function wantedCopies(state: RunState, task: number): number {
  const now = state.tasks[task];
  if (now?.kind !== 'succeeded' || now.result.bulk !== true) return 1;
  const position = state.index.jobOf(task);
  const job = state.graph.jobs[position];
  const isForParent = state.parents.has(position);
  const isLeft = job?.keep === true || (state.isRead[position] === 0 && !isForParent);
  return job?.replicas ?? (isLeft ? REPLICAS_DEFAULT : 1);
}

/**
 * Folds `outputs-kept`. One driver may find the outputs lost while another one tells who keeps them: then the
 * task is to be done again already, and the fact only moves the place where its next one has to land.
 */
export function keepOutputs(
  state: RunState,
  task: number,
  event: OutputsKept,
  sequence: Sequence,
): void {
  const before = state.tasks[task];
  switch (before?.kind) {
    case 'succeeded': {
      const { keepers, short } = event;
      state.tasks[task] = {
        ...before,
        sequence,
        keepers,
        ...(short === undefined ? {} : { short }),
      };
      state.unkept.delete(task);
      return;
    }
    case 'ready':
      state.tasks[task] = { ...before, sequence };
      return;
    case 'cancelled':
    case 'skipped':
      state.tasks[task] = { ...before, fence: sequence };
      return;
    case 'waiting':
      if (before.again === undefined) break;
      state.tasks[task] = { kind: 'waiting', again: { ...before.again, sequence } };
      return;
    default:
  }
  assert(false, `${event.task}: its outputs were kept while ${before?.kind}`);
}
