import type { Sequence } from '../ports.ts';
import type { ClaimId, JobId, PeerId, SessionId } from '../words/ids.ts';
import type { Failure, TaskResult } from './run-event.ts';

/**
 * Where a task is.
 *
 *     waiting ──▶ ready ──▶ running ──▶ succeeded
 *        │          ▲ │        │ │
 *        │          │ │        │ └──────▶ failed
 *        │          └─┼────────┘  (retry)
 *        │          ▲ │        │
 *        │          │ │        └────────▶ held ──▶ ready (released by a person), cancelled
 *        │            └─────────────────▶ succeeded (cached)
 *        ├──────────────────────────────▶ skipped    (a dependency failed)
 *        └──── and ready, running ──────▶ cancelled
 *
 * Each state holds only what is true in it. That a task is *offered* is not a state: an offer is a
 * hint in the queue and no fact of the run.
 */
export type TaskState =
  | { readonly kind: 'waiting' }
  | TaskReady
  | TaskRunning
  | TaskHeld
  | TaskSucceeded
  | TaskFailed
  | TaskSkipped
  | TaskStopped;

export interface TaskReady {
  readonly kind: 'ready';
  readonly past: readonly PastAttempt[];
  /** How many of them a person forgave: they do not count against any budget. */
  readonly forgiven: number;
  /** Last sequence of the task's subject: where `attempt-started` has to land. */
  readonly sequence: Sequence;
}

export interface TaskRunning {
  readonly kind: 'running';
  readonly past: readonly PastAttempt[];
  readonly forgiven: number;
  readonly sequence: Sequence;
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
}

/** Cancelled. Named apart from the event, which only some of these get. */
export interface TaskStopped {
  readonly kind: 'cancelled';
  readonly past: readonly PastAttempt[];
  readonly forgiven?: number;
  /** Where `task-cancelled` has to land while an offer may still be out; absent: nothing can start it. */
  readonly fence?: Sequence;
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
    state.kind === 'cancelled'
  );
}
