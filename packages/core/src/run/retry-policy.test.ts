import { describe, expect, it } from 'vitest';
import { peerId } from '../words/ids.ts';
import { ATTEMPTS_PER_TASK_MAX, MESH_RETRIES_MAX } from '../words/limits.ts';
import type { FailureKind } from './failure-kind.ts';
import { afterFailure, peersToAvoid, retryDelayMs } from './retry-policy.ts';
import type { PastAttempt } from './task-state.ts';

/** Attempts that ended so, each on a peer of its own. */
const past = (...kinds: readonly (FailureKind | 'succeeded')[]): PastAttempt[] =>
  kinds.map((kind, at) => ({
    attempt: at + 1,
    peer: peerId(`p${at}`),
    startedAt: 'a',
    endedAt: 'b',
    outcome: kind === 'succeeded' ? kind : { failure: { kind, message: kind } },
  })) as PastAttempt[];

const times = (count: number, kind: FailureKind): readonly FailureKind[] =>
  Array.from({ length: count }, () => kind);

describe('after a failure', () => {
  it.each([
    [past('exit'), 0, 'give-up'],
    [past('exit'), 1, 'retry'],
    [past('exit', 'timeout'), 1, 'give-up'],
    [past('exit', 'timeout'), 2, 'retry'],
    [past('cancelled'), 9, 'give-up'],
    [past('start-failed', 'start-failed'), 0, 'retry'],
    [past(...times(3, 'start-failed')), 9, 'give-up'],
    [past(...times(MESH_RETRIES_MAX, 'peer-lost')), 0, 'retry'],
    [past(...times(MESH_RETRIES_MAX + 1, 'peer-lost')), 9, 'give-up'],
    [[], 9, 'give-up'],
  ] as const)('%# what follows depends on the kind and the budget', (attempts, retries, next) => {
    expect(afterFailure(attempts, retries)).toBe(next);
  });

  it('the failures of the mesh do not use up the retries of the job, nor the other way', () => {
    expect(afterFailure(past('peer-lost', 'disk-host', 'exit'), 1)).toBe('retry');
    expect(afterFailure(past('exit', 'exit', 'peer-lost'), 1)).toBe('retry');
  });

  it('a drained attempt is charged to nobody', () => {
    expect(afterFailure(past(...times(30, 'drained')), 0)).toBe('retry');
    expect(afterFailure(past(...times(30, 'drained'), 'peer-lost'), 0)).toBe('retry');
    expect(afterFailure(past(...times(30, 'drained'), 'exit'), 1)).toBe('retry');
    const lost = times(MESH_RETRIES_MAX, 'peer-lost');
    expect(afterFailure(past(...lost, ...times(5, 'drained')), 0)).toBe('retry');
  });

  it('there is an end to everything', () => {
    expect(afterFailure(past(...times(ATTEMPTS_PER_TASK_MAX - 1, 'drained')), 20)).toBe('retry');
    expect(afterFailure(past(...times(ATTEMPTS_PER_TASK_MAX, 'drained')), 20)).toBe('give-up');
  });
});

it('a task rests longer from attempt to attempt, but not for what its peer did', () => {
  expect(retryDelayMs([])).toBe(0);
  expect(retryDelayMs(past('exit'))).toBe(0);
  expect(retryDelayMs(past('exit', 'exit'))).toBe(1_000);
  expect(retryDelayMs(past('exit', 'exit', 'exit'))).toBe(2_000);
  expect(retryDelayMs(past(...times(20, 'exit')))).toBe(60_000);
  expect(retryDelayMs(past('exit', 'exit', 'peer-lost'))).toBe(0);
  expect(retryDelayMs(past('exit', 'exit', 'drained'))).toBe(0);
});

it('each peer that failed is avoided, once', () => {
  const [first, ...rest] = past('exit', 'timeout', 'succeeded');
  expect(peersToAvoid(first === undefined ? [] : [first, first, ...rest])).toEqual(['p0', 'p1']);
});
