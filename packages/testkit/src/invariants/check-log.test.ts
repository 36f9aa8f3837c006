import type { Logged, RunEvent } from '@podmesh/core';
import { describe, expect, it } from 'vitest';
import {
  freshRun,
  sampleEnded,
  sampleFailed,
  sampleLost,
  samplePublished,
  sampleResult,
  sampleStarted,
  sampleSucceeded,
  sampleTask,
} from '../samples.ts';
import { checkAllEnded, checkLog } from './check-log.ts';

const run = freshRun();
const ALL_CACHED = { succeeded: 1, cached: 1, failed: 0, skipped: 0, cancelled: 0 };
const published = samplePublished(run);
const started = sampleStarted(run, sampleTask());
const failed = sampleFailed(started);
const succeeded = sampleSucceeded(started);
const second = sampleStarted(run, sampleTask(), 2);
const ended = sampleEnded(run);
const lost = {
  ...({ kind: 'attempt-lost', run, task: sampleTask(), attempt: 1 } as const),
  claim: started.claim,
  peer: started.peer,
  reason: 'gone',
};
const cached = {
  ...({ kind: 'task-cached', run, task: sampleTask() } as const),
  action: succeeded.action,
  result: sampleResult(),
};
const gone = (rerun = 1) => sampleLost(started, rerun);
const kept = {
  ...({ kind: 'outputs-kept', run, task: sampleTask(), wanted: 2 } as const),
  keepers: [started.peer],
  short: 'no other peer is in the mesh',
};
const third = sampleStarted(run, sampleTask(), 3);
/** The first attempt's outputs, and those of so many after it, were lost. */
const lostAgain = (times: number): RunEvent[] => [
  cached,
  ...Array.from({ length: times }, (_, at) => [gone(at + 1), cached]).flat(),
];
const closed = { kind: 'task-cancelled', run, task: sampleTask() } as const;
const cancel = { kind: 'run-cancel-requested', run, by: 'me', reason: 'why' } as const;

const log = (events: readonly RunEvent[]): Logged[] =>
  events.map((event, index) => ({ event, sequence: index + 1, at: '' }));
const check = (...events: RunEvent[]) => checkLog(log([published, ...events]));

describe('checkLog', () => {
  it.each<[string, RunEvent[]]>([
    ['a success', [started, succeeded, ended]],
    ['a failure, then a success', [started, failed, second, sampleSucceeded(second), ended]],
    ['a loss, then a cached result', [started, lost, cached]],
    ['a run under way', [started]],
    ['outputs that are kept', [started, succeeded, kept, ended]],
    ['outputs that were lost and made again', [started, succeeded, kept, gone(), second]],
    [
      'outputs that were lost as often as may be',
      [...lostAgain(3), { ...ended, counts: ALL_CACHED }],
    ],
    ['outputs that were lost, of a task closed then', [started, succeeded, gone(), closed]],
    ['a keeper told of by who did not see the loss', [started, succeeded, gone(), kept, second]],
    ['a loss after the cancellation, which is none', [started, succeeded, cancel, gone(), ended]],
    ['a task closed after a loss', [started, lost, closed]],
    ['a cancellation that came too late', [started, succeeded, ended, cancel]],
  ])('accepts %s', (_name, events) => {
    expect(check(...events)).toEqual([]);
  });

  it.each<[string, RunEvent[], string]>([
    ['two outcomes of one attempt', [started, failed, succeeded], 'attempt-succeeded(1) after'],
    ['an outcome after a loss', [started, lost, succeeded], 'attempt-succeeded(1) after'],
    ['a start after success', [started, succeeded, second], 'it was settled'],
    ['a start after a cached result', [cached, started], 'it was settled'],
    ['a start while another is open', [started, second], 'attempt-started(2) after'],
    ['a start after the task was closed', [closed, started], 'it was settled'],
    ['a task closed while it runs', [started, closed], 'is open'],
    ['a number left out', [second], 'attempt-started(2) after nothing'],
    ['a number used twice', [started, failed, started], 'attempt-started(1) after'],
    ['an outcome of nothing', [succeeded], 'after nothing'],
    ['a foreign outcome', [started, { ...failed, claim: 'x' as never }], 'foreign claim'],
    ['an attempt left out after a loss', [started, succeeded, gone(), third], 'attempt-started(3)'],
    ['a loss of what never was', [started, failed, gone()], 'outputs-lost after attempt-failed'],
    [
      'a loss while it is made again',
      [started, succeeded, gone(), second, gone(2)],
      'outputs-lost',
    ],
    ['a loss counted twice', [started, succeeded, gone(2)], 'says rerun 2'],
    ['a loss too many', [...lostAgain(3), gone(4)], 'once too often'],
    ['a success after its loss', [started, succeeded, gone(), succeeded], 'attempt-succeeded(1)'],
    ['a keeper of nothing', [started, kept], 'outputs-kept after attempt-started'],
    [
      'fewer keepers than wanted without a reason',
      [started, succeeded, { ...kept, short: undefined as never }],
      'outputs-kept on 1 of 2, and not why',
    ],
    [
      'a keeper that counts twice',
      [started, succeeded, { ...kept, keepers: [started.peer, started.peer] }],
      'outputs-kept on',
    ],
    ['a start although the outputs are kept', [started, succeeded, kept, second], 'was settled'],
    ['the end of a run that lost something', [started, succeeded, gone(), ended], 'says succeeded'],
    ['a loss after the end', [started, succeeded, ended, gone()], 'after its end'],
    ['facts after the end', [started, succeeded, ended, second], 'after its end'],
    ['two ends', [started, succeeded, ended, ended], 'run-ended after its end'],
    ['wrong counts', [started, failed, ended], 'says succeeded: 1'],
    ['an end with an open attempt', [started, sampleEnded(run, 0)], 'open attempts'],
    ['a run published twice', [published], 'published twice'],
  ])('rejects %s', (_name, events, problem) => {
    expect(check(...events).join('\n')).toContain(problem);
  });

  it('asks for the end of every run', () => {
    expect(checkAllEnded(log([published, started, succeeded]))).toEqual([
      `run ${run}: never ended`,
    ]);
    expect(checkAllEnded(log([published, started, succeeded, ended]))).toEqual([]);
  });
});
