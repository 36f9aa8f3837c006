import type { Sequence } from '../ports.ts';
import type { ClaimId, JobId, PeerId, SessionId } from '../words/ids.ts';
import type { Failure, TaskResult } from './run-event.ts';

/**
 * Where a task is.
 *
 *     waiting ──▶ ready ──▶ running ──▶ succeeded ──▶ ready, waiting, skipped (its outputs were lost)
 *        │          ▲ │        │ │
 *        │          │ │        │ └──────▶ failed
 *        │          └─┼────────┘  (retry)
 *        │          ▲ │        │
 *        │          │ │        └────────▶ held ──▶ ready (released by a person), cancelled
 *        │            └─────────────────▶ succeeded (cached)
 *        ├──────────────────────────────▶ skipped    (a dependency failed)
 *        └──── and ready, running ──────▶ cancelled
 *
 * The task that stands for a `forEach` job goes from ready to expanded (or failed): its elements are tasks from then on.
 * A task that is ready waits again when the outputs of one that it depends on are lost.
 *
 * Each state holds only what is true in it. That a task is *offered* is not a state: an offer is a
 * hint in the queue and no fact of the run.
 */
export type TaskState =
  | TaskWaiting
  | TaskReady
  | TaskRunning
  | TaskHeld
  | TaskSucceeded
  | TaskFailed
  | TaskSkipped
  | TaskStopped
  | TaskExpanded;

export interface TaskWaiting {
  readonly kind: 'waiting';
  /** Set when it was ready before: what it goes on with. An offer of then may still start it. */
  readonly again?: TaskAgain;
}

/** What a task takes along from one attempt to the next. */
export interface TaskAgain {
  readonly past: readonly PastAttempt[];
  /** How many of them count against no budget: a person forgave them, or they are not the task's matter. */
  readonly forgiven: number;
  /** Last sequence of the task's subject: where `attempt-started` has to land. */
  readonly sequence: Sequence;
}

export interface TaskReady extends TaskAgain {
  readonly kind: 'ready';
}

export interface TaskRunning extends TaskAgain {
  readonly kind: 'running';
  readonly attempt: number;
  readonly peer: PeerId;
  readonly session: SessionId;
  readonly claim: ClaimId;
  readonly startedAt: string;
}

/** In quarantine: nothing happens to it until a person releases it or cancels the run. */
export interface TaskHeld {
  readonly kind: 'held';
  readonly past: readonly PastAttempt[];
  /** Where `task-released` has to land. */
  readonly sequence: Sequence;
  /** The last failure, which was one too many. */
  readonly failure: Failure;
}

export interface TaskSucceeded {
  readonly kind: 'succeeded';
  readonly past: readonly PastAttempt[];
  readonly cached: boolean;
  readonly result: TaskResult;
  /** Where `outputs-kept` has to land, and `attempt-started` if the outputs are lost. */
  readonly sequence: Sequence;
  /** The peers that keep its outputs, where that was looked after. */
  readonly keepers?: readonly PeerId[];
  /** Why they are fewer than wanted. */
  readonly short?: string;
}

export interface TaskFailed {
  readonly kind: 'failed';
  readonly past: readonly PastAttempt[];
  readonly failure: Failure;
}

export interface TaskSkipped {
  readonly kind: 'skipped';
  /** The job whose failure made this task pointless. */
  readonly because: JobId;
  /** Nothing failed: its condition, or that of a job which it reads of, said that it is not needed. */
  readonly unneeded?: true;
  /** Present of one that was ready once, or had even succeeded, before what it depends on was lost. */
  readonly past?: readonly PastAttempt[];
  readonly forgiven?: number;
  /** Where `task-cancelled` has to land while an offer may still be out. */
  readonly fence?: Sequence;
}

/** Cancelled. Named apart from the event, which only some of these get. */
export interface TaskStopped {
  readonly kind: 'cancelled';
  readonly past: readonly PastAttempt[];
  readonly forgiven?: number;
  /** Where `task-cancelled` has to land while an offer may still be out; absent: nothing can start it. */
  readonly fence?: Sequence;
}

/** It stood for a `forEach` job until the elements were known: they are what is done. Counted nowhere. */
export interface TaskExpanded {
  readonly kind: 'expanded';
  readonly count: number;
}

/** One attempt that has ended. */
export interface PastAttempt {
  readonly attempt: number;
  readonly peer: PeerId;
  /** Server's times, RFC 3339, for people. */
  readonly startedAt: string;
  readonly endedAt: string;
  readonly outcome: 'succeeded' | { readonly failure: Failure };
}

export const WAITING: TaskState = { kind: 'waiting' };

/** Whether nothing can happen to the task any more. */
export function isSettled(state: TaskState): boolean {
  return (
    state.kind === 'succeeded' ||
    state.kind === 'failed' ||
    state.kind === 'skipped' ||
    state.kind === 'expanded' ||
    state.kind === 'cancelled'
  );
}

/** The attempts of a task that have ended, oldest first. */
export function pastOf(state: TaskState): readonly PastAttempt[] {
  if (state.kind === 'waiting') return state.again?.past ?? [];
  return state.kind === 'expanded' ? [] : (state.past ?? []);
}
