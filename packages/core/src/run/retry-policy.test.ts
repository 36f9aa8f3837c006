import { describe, expect, it } from 'vitest';
import type { Retries } from '../graph/graph.ts';
import { toRequirements } from '../placement/lane.ts';
import { peerId } from '../words/ids.ts';
import { ATTEMPTS_PER_TASK_MAX, MEMORY_GROWTH_MAX, MESH_RETRIES_MAX } from '../words/limits.ts';
import { FAILURE_KINDS, FAILURE_POLICIES, type FailureKind } from './failure-kind.ts';
import { afterFailure, grownRequirements, peersToAvoid, retryDelayMs } from './retry-policy.ts';
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

const onOnePeer = (attempts: readonly PastAttempt[]): PastAttempt[] =>
  attempts.map((attempt) => ({ ...attempt, peer: peerId('p') }));

const times = (count: number, kind: FailureKind): readonly FailureKind[] =>
  Array.from({ length: count }, () => kind);

const retries = (task: number, byKind?: Retries['byKind']): Retries =>
  byKind === undefined ? { task } : { task, byKind };

describe('after a failure', () => {
  it.each([
    [past('exit'), 0, 'give-up'],
    [past('exit'), 1, 'retry'],
    [past('exit', 'timeout'), 1, 'give-up'],
    [past('exit', 'timeout'), 2, 'retry'],
    [past('cancelled'), 9, 'give-up'],
    [past(...times(5, 'start-failed')), 0, 'retry'],
    [past(...times(6, 'start-failed')), 9, 'give-up'],
    [past('oom-task'), 0, 'retry'],
    [past(...times(4, 'oom-task')), 9, 'give-up'],
    [onOnePeer(past(...times(MESH_RETRIES_MAX, 'peer-lost'))), 0, 'retry'],
    [onOnePeer(past(...times(MESH_RETRIES_MAX + 1, 'peer-lost'))), 9, 'give-up'],
    [past('peer-lost'), 0, 'retry'],
    [past('peer-lost', 'peer-lost'), 0, 'hold'],
    [past('peer-lost', 'exit', 'peer-lost'), 9, 'hold'],
    [past('lease-lost', 'lease-lost', 'drained', 'peer-lost'), 0, 'retry'],
    [[], 9, 'give-up'],
  ] as const)('%# what follows depends on the kind and the budget', (attempts, task, next) => {
    expect(afterFailure(attempts, retries(task))).toBe(next);
  });

  it.each(FAILURE_KINDS)('%s: the first failure is answered as the table says', (kind) => {
    const { budget } = FAILURE_POLICIES[kind];
    const repeats = budget !== 'job' && budget > 0;
    expect(afterFailure(past(kind), retries(0))).toBe(repeats ? 'retry' : 'give-up');
    expect(afterFailure(past(kind), retries(0, { [kind]: 1 }))).toBe('retry');
    expect(afterFailure(past(kind), retries(9, { [kind]: 0 }))).toBe(
      kind === 'peer-lost' ? 'hold' : 'give-up',
    );
  });

  it('what the job names has its own budget and leaves the rest alone', () => {
    const named = retries(1, { timeout: 2 });
    expect(afterFailure(past('timeout', 'timeout', 'exit'), named)).toBe('retry');
    expect(afterFailure(past('exit', 'timeout', 'timeout', 'timeout'), named)).toBe('give-up');
    expect(afterFailure(past(...times(3, 'peer-lost')), retries(0, { 'peer-lost': 3 }))).toBe(
      'retry',
    );
  });

  it('the failures of the mesh do not use up the retries of the job, nor the other way', () => {
    expect(afterFailure(past('peer-lost', 'disk-host', 'exit'), retries(1))).toBe('retry');
    expect(afterFailure(past('exit', 'exit', 'peer-lost'), retries(1))).toBe('retry');
    const misfortunes = past(...times(4, 'start-failed'), ...times(4, 'disk-host'), 'peer-lost');
    expect(afterFailure([...misfortunes, ...past(...times(2, 'oom-host'))], retries(0))).toBe(
      'give-up',
    );
  });

  it('a drained attempt is charged to nobody', () => {
    expect(afterFailure(past(...times(30, 'drained')), retries(0))).toBe('retry');
    expect(afterFailure(past(...times(30, 'drained'), 'peer-lost'), retries(0))).toBe('retry');
    expect(afterFailure(past(...times(30, 'drained'), 'exit'), retries(1))).toBe('retry');
    const lost = onOnePeer(past(...times(MESH_RETRIES_MAX, 'peer-lost')));
    expect(afterFailure([...lost, ...past(...times(5, 'drained'))], retries(0))).toBe('retry');
  });

  it('there is an end to everything', () => {
    const drained = (count: number) => past(...times(count, 'drained'));
    expect(afterFailure(drained(ATTEMPTS_PER_TASK_MAX - 1), retries(20))).toBe('retry');
    expect(afterFailure(drained(ATTEMPTS_PER_TASK_MAX), retries(20))).toBe('give-up');
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

it('a peer is avoided for what may be its own fault, once', () => {
  const [first, ...rest] = past('start-failed', 'timeout', 'succeeded', 'peer-lost');
  expect(peersToAvoid(first === undefined ? [] : [first, first, ...rest])).toEqual(['p0', 'p3']);
});

it('memory doubles for each time it was not enough, remembers it, and has a cap', () => {
  const asked = toRequirements({ memoryBytes: 2 ** 30, runtime: 'crun' });
  const factor = (...kinds: readonly FailureKind[]) =>
    grownRequirements(asked, past(...kinds), 2 ** 40).memoryBytes / asked.memoryBytes;
  expect(grownRequirements(asked, past('exit', 'peer-lost'), 0)).toBe(asked);
  expect(factor('oom-task')).toBe(2);
  expect(factor('oom-task', 'peer-lost', 'oom-task', 'drained')).toBe(4);
  expect(factor(...times(9, 'oom-task'))).toBe(MEMORY_GROWTH_MAX);
  expect(grownRequirements(asked, past('oom-task'), 2 ** 40)).toMatchObject({ runtime: 'crun' });
});

it('memory grows no further than the largest peer, and never shrinks', () => {
  const asked = toRequirements({ memoryBytes: 2 ** 30 });
  const grown = (largestBytes: number) =>
    grownRequirements(asked, past('oom-task', 'oom-task'), largestBytes).memoryBytes;
  expect(grown(3.1 * 2 ** 30)).toBe(3 * 2 ** 30);
  expect(grown(2 ** 29)).toBe(2 ** 30);
});
