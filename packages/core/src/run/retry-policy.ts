import type { Requirements, Retries } from '../graph/graph.ts';
import { roundMemoryDown, toRequirements } from '../placement/lane.ts';
import {
  ATTEMPTS_PER_TASK_MAX,
  MEMORY_GROWTH_MAX,
  MESH_RETRIES_MAX,
  PEERS_LOST_MAX,
} from '../words/limits.ts';
import { FAILURE_POLICIES, type FailureKind } from './failure-kind.ts';
import type { PastAttempt } from './task-state.ts';

/**
 * What follows the last of these attempts, which failed: another one, the wait for a person, or the
 * end. What the task did is counted against the job's `retries`, what the mesh did against budgets
 * of its own, so that a task is never punished for the machine it ran on. Decided by the log alone:
 * every reader agrees. Attempts that a person forgave (`task-released`) are not among `past`.
 */
export function afterFailure(
  past: readonly PastAttempt[],
  retries: Retries,
): 'retry' | 'hold' | 'give-up' {
  const kinds = past.map(failureKindOf).filter((kind) => kind !== undefined);
  const last = kinds.at(-1);
  if (last === undefined || kinds.length >= ATTEMPTS_PER_TASK_MAX) return 'give-up';
  if (mustHold(past, last, retries)) return 'hold';
  const { budget } = FAILURE_POLICIES[last];
  const own = retries.byKind?.[last] ?? (budget === 'job' ? undefined : budget);
  if (own === undefined) {
    return count(kinds, (kind) => sharesJobBudget(kind, retries)) <= retries.task
      ? 'retry'
      : 'give-up';
  }
  const alike = count(kinds, (kind) => kind === last);
  return alike <= own && withinMeshPatience(kinds, last, retries) ? 'retry' : 'give-up';
}

/** A task that takes down one peer after another goes through the whole mesh if nobody stops it. */
function mustHold(past: readonly PastAttempt[], last: FailureKind, retries: Retries): boolean {
  if (!FAILURE_POLICIES[last].holds) return false;
  const peers = new Set(past.filter((a) => failureKindOf(a) === last).map((a) => a.peer));
  return peers.size > (retries.byKind?.[last] ?? PEERS_LOST_MAX);
}

function sharesJobBudget(kind: FailureKind, { byKind }: Retries): boolean {
  return FAILURE_POLICIES[kind].budget === 'job' && byKind?.[kind] === undefined;
}

/** Different misfortunes one after another end as well. What the owner of a machine does, or the author asked for, is none. */
function withinMeshPatience(
  kinds: readonly FailureKind[],
  last: FailureKind,
  { byKind }: Retries,
): boolean {
  const counts = (kind: FailureKind) =>
    FAILURE_POLICIES[kind].charges === 'mesh' && kind !== 'drained' && byKind?.[kind] === undefined;
  return !counts(last) || count(kinds, counts) <= MESH_RETRIES_MAX;
}

/** The peers on which the task need not be tried again while there are others, each once. */
export function peersToAvoid(past: readonly PastAttempt[]): readonly PastAttempt['peer'][] {
  const avoided = past.filter((attempt) => {
    const kind = failureKindOf(attempt);
    return kind !== undefined && FAILURE_POLICIES[kind].nextPeer === 'another';
  });
  return [...new Set(avoided.map((attempt) => attempt.peer))];
}

/**
 * What the next attempt asks for: memory doubled for each time it was not enough, whatever happened
 * in between, up to `MEMORY_GROWTH_MAX` times the first amount, and no more than `largestBytes`, what
 * the largest peer offers: more would be waited for in vain.
 */
export function grownRequirements(
  asked: Requirements,
  past: readonly PastAttempt[],
  largestBytes: number,
): Requirements {
  const short = count(past, (attempt) => {
    const kind = failureKindOf(attempt);
    return kind !== undefined && FAILURE_POLICIES[kind].memory === 'double';
  });
  if (short === 0) return asked;
  const factor = Math.min(2 ** short, MEMORY_GROWTH_MAX);
  const bytes = Math.min(asked.memoryBytes * factor, roundMemoryDown(largestBytes));
  return toRequirements({ ...asked, memoryBytes: Math.max(asked.memoryBytes, bytes) });
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

function count<T>(items: readonly T[], matches: (item: T) => boolean): number {
  return items.filter(matches).length;
}
