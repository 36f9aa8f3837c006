import { referencesOf } from '../graph/job-edges.ts';
import type { Sequence } from '../ports.ts';
import { assert } from '../words/unreachable.ts';
import { meetDependency } from './meet-dependency.ts';
import type { WhenDecided } from './run-event.ts';
import { makeReady, progressOf, type RunState } from './run-state.ts';
import { takeStandIn } from './take-stand-in.ts';
import type { TaskState } from './task-state.ts';

/** Folds `when-decided`: the job goes on, or is not needed. */
export function decideWhen(
  state: RunState,
  task: number,
  event: WhenDecided,
  sequence: Sequence,
): void {
  const job = state.index.jobOf(task);
  const before = takeStandIn(state, task, event, sequence);
  if (before === undefined) return;
  state.decided.add(job);
  if (!event.met) {
    leaveOut(state, job);
    return;
  }
  noteGoneOnFrom(state, job);
  const again = { past: before.past, forgiven: before.forgiven, sequence };
  const isMet = progressOf(state, job).unmet === 0;
  state.tasks[task] = isMet ? { kind: 'ready', ...again } : { kind: 'waiting', again };
  if (!isMet) return;
  state.ready.add(task);
  makeReady(state, job);
}

/** The job went on from a failure: that does not fail the run. */
function noteGoneOnFrom(state: RunState, job: number): void {
  const when = state.index.jobs[job]?.when;
  if (when?.kind !== 'exit') return;
  const other = state.index.firstTaskOf(state.index.positionOf(when.job));
  if (state.tasks[other]?.kind === 'failed') state.handled.add(other);
}

/** Not needed; nor is what reads of it. What only comes after it goes on. */
function leaveOut(state: RunState, job: number): void {
  const because = state.index.jobs[job]?.when?.job ?? state.index.jobs[job]?.id;
  assert(because !== undefined, `there is no job number ${job}`);
  const pending = [job];
  const seen = new Set<number>();
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    if (seen.has(next)) continue;
    seen.add(next);
    const progress = progressOf(state, next);
    progress.blockedBy ??= because;
    progress.doomedBy ??= because;
    const first = state.index.firstTaskOf(next);
    for (let task = first; task < first + state.index.sizeOf(next); task += 1) {
      leaveOutTask(state, task, { kind: 'skipped', because, unneeded: true });
      for (const dependent of state.index.dependentsOfTask(task))
        follow(state, next, dependent, pending);
    }
    for (const dependent of state.index.dependentsOfJob(next))
      follow(state, next, dependent, pending);
  }
}

function follow(state: RunState, job: number, dependent: number, pending: number[]): void {
  const [own, other] = [state.index.jobs[job], state.index.jobs[dependent]];
  if (own === undefined || other === undefined) return;
  const reads = referencesOf(other).some(
    ({ job: id, output }) => id === own.id && output !== undefined,
  );
  if (reads) pending.push(dependent);
  // Also of one whose condition is on the exit of this job: there was none.
  else meetDependency(state, dependent);
}

function leaveOutTask(state: RunState, task: number, skipped: TaskState): void {
  const before = state.tasks[task];
  if (before?.kind !== 'waiting' && before?.kind !== 'ready') return;
  state.ready.delete(task);
  state.tasks[task] = skipped;
  state.counts.skipped += 1;
  state.handled.add(task);
}
