import { foldPin } from '../external/input-pins.ts';
import type { Retries } from '../graph/graph.ts';
import type { Logged } from '../ports.ts';
import type { TaskId } from '../words/ids.ts';
import { assert, unreachable } from '../words/unreachable.ts';
import { spentAbove } from './cpu-budget.ts';
import { decideWhen } from './decide-when.ts';
import { cancelTask, dropTasks, endDropped } from './drop-tasks.ts';
import { expandJob, failExpansion } from './expand-job.ts';
import { keepOutputs, wantedCopies } from './keep-outputs.ts';
import { loseOutputs } from './lose-outputs.ts';
import { meetDependency } from './meet-dependency.ts';
import { readyAgain } from './ready-again.ts';
import { afterFailure } from './retry-policy.ts';
import type {
  AttemptFailed,
  AttemptLost,
  AttemptStarted,
  AttemptSucceeded,
  Failure,
  RunEnded,
  TaskCached,
  TaskEvent,
} from './run-event.ts';
import { progressOf, type RunState } from './run-state.ts';
import { abandonSubTasks, handleFailures } from './settle-parent.ts';
import { shareFailure, shareParts, shareText } from './share-parts.ts';
import { skipDependents } from './skip-dependents.ts';
import { chargeCpu } from './spawn-line.ts';
import { spawnTasks } from './spawn-tasks.ts';
import { spendBudget } from './spend-budget.ts';
import {
  isSettled,
  type PastAttempt,
  type TaskAgain,
  type TaskRunning,
  type TaskState,
  type TaskSucceeded,
} from './task-state.ts';
import { UnknownFactError } from './unknown-fact-error.ts';

/**
 * Folds one fact into the state. Facts come in the order of the stream; one that was folded before,
 * or came after the end of the run, changes nothing. The fence of the log guarantees that an
 * outcome follows its own `attempt-started`; anything else is a broken invariant.
 */
export function applyEvent(state: RunState, { event, sequence, at }: Logged): void {
  if (sequence <= state.sequence || state.ended !== undefined) return;
  state.sequence = sequence;
  switch (event.kind) {
    case 'run-published':
      return;
    case 'run-cancel-requested':
      onCancelRequested(state);
      return;
    case 'tasks-spawned':
      spawnTasks(state, event, sequence);
      return;
    case 'sub-tasks-dropped':
      dropTasks(state, event, sequence);
      return;
    case 'budget-spent':
      spendBudget(state, event, sequence);
      return;
    case 'outputs-lost':
      loseOutputs(state, event, sequence);
      return;
    case 'input-pinned':
      foldPin(state, event);
      return;
    case 'run-ended':
      onEnded(state, event);
      return;
    case 'attempt-started':
    case 'attempt-succeeded':
    case 'attempt-failed':
    case 'attempt-lost':
    case 'task-cached':
    case 'task-released':
    case 'task-cancelled':
    case 'outputs-kept':
    case 'job-expanded':
    case 'expansion-failed':
    case 'when-decided':
      onTaskEvent(state, event, { sequence, at });
      return;
    default:
      throw new UnknownFactError(event);
  }
}

interface Place {
  readonly sequence: number;
  readonly at: string;
}

function onTaskEvent(state: RunState, event: TaskEvent, place: Place): void {
  const task = numberOf(state, event.task);
  switch (event.kind) {
    case 'attempt-started':
      onStarted(state, task, event, place);
      return;
    case 'attempt-succeeded':
      onSucceeded(state, task, event, place);
      return;
    case 'attempt-failed':
      onFailed(state, task, { event, failure: event.failure, ...place });
      return;
    case 'attempt-lost':
      onFailed(state, task, { event, failure: lostFailure(event), ...place });
      return;
    case 'task-cached':
      onCached(state, task, event, place);
      return;
    case 'task-released':
      onReleased(state, task, place);
      return;
    case 'task-cancelled':
      onFenced(state, task);
      return;
    case 'outputs-kept':
      keepOutputs(state, task, event, place.sequence);
      return;
    case 'job-expanded':
      expandJob(state, task, event, place.sequence);
      return;
    case 'expansion-failed':
      failExpansion(state, task, event, place.sequence);
      return;
    case 'when-decided':
      decideWhen(state, task, event, place.sequence);
      return;
    default:
      unreachable(event);
  }
}

function onStarted(state: RunState, task: number, event: AttemptStarted, place: Place): void {
  const { past, forgiven } = takeUp(state, task, event);
  state.ready.delete(task);
  state.running.add(task);
  state.tasks[task] = {
    kind: 'running',
    past,
    forgiven,
    sequence: place.sequence,
    attempt: event.attempt,
    peer: shareText(state, event.peer),
    session: shareText(state, event.session),
    claim: event.claim,
    startedAt: place.at,
  };
}

/**
 * What a peer, or another driver, did before it could know counts: of a cancellation, of a loss that made the
 * task wait again, and that it waits in vain.
 */
function takeUp(
  state: RunState,
  task: number,
  event: AttemptStarted | TaskCached,
): Pick<TaskAgain, 'past' | 'forgiven'> {
  const before = stateOf(state, task);
  switch (before.kind) {
    case 'ready':
      return before;
    case 'waiting':
      if (before.again !== undefined) return before.again;
      break;
    case 'cancelled':
    case 'skipped':
      if (before.kind === 'skipped' && before.fence === undefined) break;
      state.counts[before.kind] -= 1;
      state.unfenced.delete(task);
      state.handled.delete(task);
      return { past: before.past ?? [], forgiven: before.forgiven ?? 0 };
    default:
  }
  assert(false, `${event.task}: ${event.kind} while ${before.kind}`);
}

/** A release that came after the cancellation, or when nobody wanted the task any more, releases nothing. */
function onReleased(state: RunState, task: number, { sequence }: Place): void {
  const before = stateOf(state, task);
  assert(
    before.kind === 'held' || before.kind === 'cancelled' || before.kind === 'skipped',
    `task number ${task} was released while ${before.kind}`,
  );
  if (before.kind !== 'held') return;
  state.held.delete(task);
  const { past } = before;
  readyAgain(state, task, { past, forgiven: past.length, sequence });
}

function onFenced(state: RunState, task: number): void {
  const before = stateOf(state, task);
  assert(
    before.kind === 'cancelled' || before.kind === 'skipped',
    `task number ${task} was fenced while ${before.kind}`,
  );
  const { fence: _, forgiven: __, ...rest } = before;
  state.tasks[task] = rest;
  state.unfenced.delete(task);
}

function onSucceeded(state: RunState, task: number, event: AttemptSucceeded, place: Place): void {
  const open = openAttempt(state, task, event);
  const past = [...open.past, closeAttempt(open, place.at, 'succeeded')];
  chargeCpu(state, task, event.result.usage);
  handleFailures(state, task);
  settleSuccess(state, task, { past, cached: false, result: event.result, ...place });
}

function onCached(state: RunState, task: number, event: TaskCached, place: Place): void {
  const { past } = takeUp(state, task, event);
  state.counts.cached += 1;
  // An earlier attempt may have spawned: nobody is going to judge what became of that.
  handleFailures(state, task);
  settleSuccess(state, task, { past, cached: true, result: event.result, ...place });
}

function settleSuccess(
  state: RunState,
  task: number,
  { past, cached, sequence, ...success }: Pick<TaskSucceeded, 'past' | 'cached' | 'result'> & Place,
): void {
  state.ready.delete(task);
  state.running.delete(task);
  const result = shareParts(state, success.result);
  state.tasks[task] = { kind: 'succeeded', past, cached, result, sequence };
  state.counts.succeeded += 1;
  if (wantedCopies(state, task) > 1) state.unkept.add(task);
  for (const job of state.index.dependentsOfTask(task)) meetDependency(state, job);
  const job = state.index.jobOf(task);
  const progress = progressOf(state, job);
  progress.remaining -= 1;
  if (progress.remaining > 0) return;
  for (const dependent of state.index.dependentsOfJob(job)) meetDependency(state, dependent);
}

function onFailed(
  state: RunState,
  task: number,
  end: { event: AttemptFailed | AttemptLost; failure: Failure } & Place,
): void {
  const open = openAttempt(state, task, end.event);
  state.running.delete(task);
  const failure = shareFailure(state, end.failure, open.peer);
  chargeCpu(state, task, failure.usage);
  const past = [...open.past, closeAttempt(open, end.at, { failure })];
  if (state.cancelRequested || state.dropped.has(task)) {
    state.tasks[task] = { kind: 'cancelled', past };
    state.counts.cancelled += 1;
    if (!state.cancelRequested) endDropped(state, task);
    return;
  }
  const job = state.index.jobOf(task);
  const { forgiven } = open;
  const { sequence } = end;
  const retries = state.graph.jobs[job]?.retries ?? NO_RETRIES;
  // Of a budget that is used up nothing is left for another attempt, nor for a person to wait for.
  const isSpent = spentAbove(state, task) !== undefined;
  const next = isSpent ? 'give-up' : afterFailure(past.slice(forgiven), retries);
  switch (next) {
    case 'retry':
      readyAgain(state, task, { past, forgiven, sequence });
      return;
    case 'hold':
      state.tasks[task] = { kind: 'held', past, sequence, failure };
      state.held.add(task);
      return;
    case 'give-up':
      state.tasks[task] = { kind: 'failed', past, failure };
      state.counts.failed += 1;
      skipDependents(state, job, task);
      abandonSubTasks(state, task);
      return;
    default:
      unreachable(next);
  }
}

const NO_RETRIES: Retries = { task: 0 };

function onCancelRequested(state: RunState): void {
  if (state.cancelRequested) return;
  state.cancelRequested = true;
  for (let task = 0; task < state.tasks.length; task += 1) cancelTask(state, task);
  state.ready.clear();
  state.held.clear();
}

function onEnded(state: RunState, event: RunEnded): void {
  const settled = event.problem !== undefined || state.tasks.every(isSettled);
  assert(settled, 'a run ended before all of its tasks were settled');
  state.ended = event;
}

function openAttempt(
  state: RunState,
  task: number,
  event: AttemptSucceeded | AttemptFailed | AttemptLost,
): TaskRunning {
  const open = stateOf(state, task);
  assert(
    open.kind === 'running' && open.attempt === event.attempt && open.claim === event.claim,
    `${event.task}: ${event.kind} of attempt ${event.attempt} while ${open.kind}`,
  );
  return open;
}

function closeAttempt(
  open: TaskRunning,
  endedAt: string,
  outcome: PastAttempt['outcome'],
): PastAttempt {
  const { attempt, peer, startedAt } = open;
  return { attempt, peer, startedAt, endedAt, outcome };
}

function lostFailure(event: AttemptLost): Failure {
  return { kind: 'peer-lost', message: `peer ${event.peer} vanished: ${event.reason}` };
}

function stateOf(state: RunState, task: number): TaskState {
  const found = state.tasks[task];
  assert(found !== undefined, `there is no task number ${task}`);
  return found;
}

function numberOf(state: RunState, task: TaskId): number {
  const found = state.index.numberOf(task);
  assert(found !== undefined, `the log names task ${task}, the graph does not`);
  return found;
}
