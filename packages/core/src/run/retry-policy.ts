import { ATTEMPTS_PER_TASK_MAX, MESH_RETRIES_MAX } from '../words/limits.ts';
import { FAILURE_POLICIES, type FailureKind } from './failure-kind.ts';
import type { PastAttempt } from './task-state.ts';

/**
 * What follows the last of these attempts, which failed. The task's own failures are counted
 * against the job's `retries`, the mesh's failures against a budget of their own, so that a task is
 * never punished for the machine it ran on. Decided by the log alone: every reader agrees.
 */
export function afterFailure(past: readonly PastAttempt[], retries: number): 'retry' | 'give-up' {
  const kinds = past.map(failureKindOf).filter((kind) => kind !== undefined);
  const last = kinds.at(-1);
  if (last === undefined || kinds.length >= ATTEMPTS_PER_TASK_MAX) return 'give-up';
  const policy = FAILURE_POLICIES[last];
  const alike = kinds.filter((kind) => kind === last).length;
  // Whoever stops a machine in good order must not use up what is meant for losses.
  const charged = kinds.filter(
    (kind) => FAILURE_POLICIES[kind].charges === policy.charges && kind !== 'drained',
  ).length;
  const budget =
    policy.charges === 'task' ? retries : Math.max(MESH_RETRIES_MAX, policy.retriesMax);
  return alike <= policy.retriesMax && charged <= budget ? 'retry' : 'give-up';
}

/** The peers on which an attempt of the task failed or was lost, each once. */
export function peersToAvoid(past: readonly PastAttempt[]): readonly PastAttempt['peer'][] {
  return [...new Set(past.filter((a) => a.outcome !== 'succeeded').map((a) => a.peer))];
}

/** How long to wait before the next attempt: nothing at first, then doubling from 1 s to 60 s. */
export function retryDelayMs(past: readonly PastAttempt[]): number {
  const last = past.at(-1);
  if (last === undefined) return 0;
  const kind = failureKindOf(last);
  if (kind === undefined || kind === 'peer-lost' || kind === 'drained' || past.length === 1)
    return 0;
  return Math.min(60_000, 500 * 2 ** (past.length - 1));
}

function failureKindOf(attempt: PastAttempt): FailureKind | undefined {
  return attempt.outcome === 'succeeded' ? undefined : attempt.outcome.failure.kind;
}
