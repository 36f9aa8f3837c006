import type { Sequence } from '../ports.ts';
import { assert } from '../words/unreachable.ts';
import type { ExpansionFailed, JobExpanded, WhenDecided } from './run-event.ts';
import type { RunState } from './run-state.ts';
import type { TaskAgain } from './task-state.ts';

/**
 * A fact about a job as a whole, told of the task that stands for it: that is then no longer ready. Undefined when it is
 * cancelled or skipped; then only the place where its fence has to land has moved.
 */
export function takeStandIn(
  state: RunState,
  task: number,
  event: JobExpanded | ExpansionFailed | WhenDecided,
  sequence: Sequence,
): TaskAgain | undefined {
  const before = state.tasks[task];
  if (before?.kind === 'cancelled' || before?.kind === 'skipped') {
    state.tasks[task] = { ...before, fence: sequence };
    return undefined;
  }
  // What was looked at may have been lost since the task was ready: what was seen then counts.
  const again =
    before?.kind === 'ready' ? before : before?.kind === 'waiting' ? before.again : undefined;
  assert(again !== undefined, `${event.task}: ${event.kind} while ${before?.kind}`);
  state.ready.delete(task);
  return again;
}
