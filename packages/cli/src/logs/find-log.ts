import { type LogRef, type PastAttempt, pastOf, type TaskState, unreachable } from '@podmesh/core';

/** A stored log; of a run whose own log is purged no more than the digest is known. */
export type KnownLog = Pick<LogRef, 'digest'> & Partial<LogRef>;

/** Where the log of a task is to be had. */
export type LogPlace =
  | { readonly kind: 'stored'; readonly attempt: number; readonly log: KnownLog }
  /**
   * What there is of it came live: the attempt is open, or its peer vanished before it stored a log.
   * `why`: of the latter, should nothing be left.
   */
  | { readonly kind: 'live'; readonly attempt: number; readonly why?: string }
  | { readonly kind: 'none'; readonly why: string };

/** The log of one attempt, or of the newest that has one. */
export function findLog(state: TaskState, attempt?: number): LogPlace {
  if (attempt === undefined) return newestLog(state);
  if (state.kind === 'running' && state.attempt === attempt) return { kind: 'live', attempt };
  const past = pastOf(state).find((one) => one.attempt === attempt);
  if (past === undefined) return { kind: 'none', why: `it has no attempt ${attempt}` };
  return pastLog(state, past);
}

function newestLog(state: TaskState): LogPlace {
  switch (state.kind) {
    case 'running':
      return { kind: 'live', attempt: state.attempt };
    case 'succeeded':
      return { kind: 'stored', attempt: state.past.at(-1)?.attempt ?? 0, log: state.result.log };
    case 'failed':
    case 'held':
    case 'ready':
    case 'cancelled': {
      const last = state.past.at(-1);
      return last === undefined
        ? { kind: 'none', why: `it never started: it is ${state.kind}` }
        : pastLog(state, last);
    }
    case 'expanded':
      return { kind: 'none', why: 'its elements are tasks of their own' };
    case 'waiting': {
      const last = state.again?.past.at(-1);
      if (last !== undefined) return pastLog(state, last);
      return { kind: 'none', why: 'it has not started: it waits for other jobs' };
    }
    case 'skipped': {
      const last = state.past?.at(-1);
      if (last !== undefined) return pastLog(state, last);
      if (state.unneeded) return { kind: 'none', why: 'it never ran, because it was not needed' };
      return { kind: 'none', why: `it never ran, because ${state.because} failed` };
    }
    default:
      return unreachable(state);
  }
}

function pastLog(state: TaskState, { attempt, outcome }: PastAttempt): LogPlace {
  if (outcome === 'succeeded') {
    const log = state.kind === 'succeeded' ? state.result.log : undefined;
    return log === undefined
      ? { kind: 'none', why: 'its log is not known' }
      : { kind: 'stored', attempt, log };
  }
  const { kind, log } = outcome.failure;
  if (log !== undefined) return { kind: 'stored', attempt, log };
  const why = `attempt ${attempt} left no log (${kind})`;
  return kind === 'peer-lost' ? { kind: 'live', attempt, why } : { kind: 'none', why };
}
