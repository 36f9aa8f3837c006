import { type Clock, type RunId, type RunSummary, runId } from '@podmesh/core';
import { describe, expect, it } from 'vitest';
import type { RunOutlook } from './drive/driver.ts';
import { isWorkLeft, untilIdle, type WorkInSight } from './until-idle.ts';

const RUNS = ['aaaaaaaaaaaa', 'bbbbbbbbbbbb'].map(runId);

/** A mesh whose unfinished runs stand, from the start and then look after look, as told; the last is repeated. */
async function idleAfterLooks(
  looks: readonly (readonly RunOutlook[])[],
  logs: (sleeps: number) => Promise<RunOutlook> = async () => 'unknown',
): Promise<number> {
  let sleeps = 0;
  const clock: Clock = {
    nowMs: () => sleeps * 2_000,
    sleep: async () => {
      sleeps += 1;
    },
  };
  const now = () => looks[Math.min(sleeps, looks.length - 1)] ?? [];
  await untilIdle(
    workOf(now, () => logs(sleeps)),
    clock,
    new AbortController().signal,
  );
  return sleeps;
}

function workOf(
  now: () => readonly RunOutlook[],
  outlookInLog: WorkInSight['outlookInLog'] = async () => 'unknown',
) {
  const runs = async () => now().map((_, position) => unfinished(RUNS[position]));
  return {
    log: { runs },
    outlookOf: (run: RunId): RunOutlook => now()[RUNS.indexOf(run)] ?? 'unknown',
    outlookInLog,
  };
}

function unfinished(run = runId('cccccccccccc')): RunSummary {
  return { run, taskCount: 1, publisher: 'me', publishedAt: '', cancelRequested: false };
}

describe('a temporary peer', () => {
  it('leaves five looks after its last run', async () => {
    expect(await idleAfterLooks([[], [], ['unknown'], ['goes-on'], []])).toBe(3 + 5);
  });

  it('does not stay for a run that only a person can move on', async () => {
    expect(await idleAfterLooks([[], ['goes-on'], ['waits-for-person']])).toBe(1 + 5);
    expect(await idleAfterLooks([[], ['waits-for-person']])).toBe(5);
  });

  it('stays when that was released in time, and for what goes on beside it', async () => {
    const held = ['waits-for-person'] as const;
    expect(await idleAfterLooks([[], ['goes-on'], held, held, ['goes-on'], held])).toBe(4 + 5);
    const beside = ['waits-for-person', 'goes-on'] as const;
    expect(await idleAfterLooks([held, beside, beside, beside, held])).toBe(3 + 5);
  });

  it('waits a minute for its first run, an old one that is held being none', async () => {
    const old = ['waits-for-person'] as const;
    expect(await idleAfterLooks([['unknown'], ['unknown'], old])).toBe(30 + 4);
    expect(await idleAfterLooks([old, old, old, [...old, 'goes-on'], old])).toBe(3 + 5);
  });

  it('finds out from the log whether a run that another peer drives waits for a person', async () => {
    const reads: number[] = [];
    const held = async (sleeps: number): Promise<RunOutlook> => {
      reads.push(sleeps);
      return sleeps < 12 ? 'goes-on' : 'waits-for-person';
    };
    expect(await idleAfterLooks([[], ['goes-on'], ['unknown']], held)).toBe(11 + 5);
    // Not while it drives one itself, and then once in ten seconds.
    expect(reads).toEqual([2, 7, 12]);
    const broken = () => Promise.reject(new Error('away'));
    expect(await idleAfterLooks([['unknown'], ['unknown'], ['unknown'], []], broken)).toBe(30 + 4);
  });

  it('looks once more, before it leaves, for what does not wait for a person', async () => {
    expect(await isWorkLeft(workOf(() => ['waits-for-person']))).toBe(false);
    const both = () => ['waits-for-person', 'unknown'] as const;
    expect(await isWorkLeft(workOf(both))).toBe(true);
    expect(await isWorkLeft(workOf(both, async () => 'waits-for-person'))).toBe(false);
  });
});
