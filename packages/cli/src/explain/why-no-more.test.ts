import { afterFailure, type FailureKind, type PastAttempt, type Retries } from '@podmesh/core';
import { expect, it } from 'vitest';
import { graphOf, peerEntry } from '../sample-run.test-kit.ts';
import { whyNoMore } from './why-no-more.ts';

const [job] = graphOf([{ id: 'a', needs: { memory: '1GiB' } }]).jobs;
const requirements = job?.requirements ?? expect.fail('no job');

const attempts = (kinds: readonly FailureKind[]): readonly PastAttempt[] =>
  kinds.map((kind, position) => ({
    attempt: position + 1,
    peer: peerEntry('oak').peer,
    startedAt: '',
    endedAt: '',
    outcome: { failure: { kind, message: '' } },
  }));

const times = (count: number, kind: FailureKind) => new Array<FailureKind>(count).fill(kind);

it.each<[string, readonly FailureKind[], Retries]>([
  ['"retries" is 2', times(3, 'exit'), { task: 2 }],
  ['"retries" is 0', ['timeout'], { task: 0 }],
  ['"retries" allows 1 for timeout', times(2, 'timeout'), { task: 0, byKind: { timeout: 1 } }],
  ['"retries" has nothing for exit', ['exit'], { task: 0, byKind: { timeout: 1 } }],
  ['tried 3 times with more memory, up to 8 GiB', times(4, 'oom-task'), { task: 9 }],
  [
    '"retries" allows 1 for oom-task, with more memory, up to 2 GiB',
    times(2, 'oom-task'),
    { task: 0, byKind: { 'oom-task': 1 } },
  ],
  ['start-failed is repeated 5 times at most', times(6, 'start-failed'), { task: 9 }],
  ['cancelled is not repeated', ['cancelled'], { task: 9 }],
  [
    'of all that the mesh may do wrong, 10 attempts are repeated at most',
    [...times(5, 'start-failed'), ...times(5, 'disk-host'), 'oom-host'],
    { task: 9 },
  ],
  ['50 attempts of a task are the most', [...times(49, 'drained'), 'exit'], { task: 9 }],
])('%s', (text, kinds, retries) => {
  const past = attempts(kinds);
  expect(afterFailure(past, retries)).toBe('give-up');
  const kind = kinds.at(-1) ?? 'exit';
  expect(whyNoMore({ kind, past, retries, requirements, peers: [] })).toBe(text);
});

it('does not claim more memory than the largest peer has', () => {
  const past = attempts(times(4, 'oom-task'));
  const small = { cpus: 1, memoryBytes: 3 * 1024 ** 3, diskBytes: 0, gpus: 0 };
  const peers = [peerEntry('oak', { capacity: small })];
  const given = { kind: 'oom-task', past, retries: { task: 0 }, requirements, peers } as const;
  expect(whyNoMore(given)).toBe('tried 3 times with more memory, up to 3 GiB');
});
