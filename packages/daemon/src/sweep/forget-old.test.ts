import {
  type ActionDigest,
  type FinishedRun,
  RESULT_KEPT_MS,
  type Retention,
  RUN_LOG_KEPT_MS,
  RUN_LOGS_KEPT_MAX,
  RUN_RECORD_KEPT_MS,
  runId,
} from '@podmesh/core';
import { describe, expect, it } from 'vitest';
import { forgetResults, forgetRuns } from './forget-old.ts';

/** By the server's own clock, which is not this machine's. */
const NOW_MS = 10 * RUN_RECORD_KEPT_MS;
const RUNS_PER_PASS = 1_000;
const { signal } = new AbortController();

function retentionOf(runs: readonly FinishedRun[], results: readonly object[] = []) {
  const forgotten: string[] = [];
  const purged: string[] = [];
  const dropped: unknown[] = [];
  const retention = {
    nowMs: async () => NOW_MS,
    finishedRuns: async () => runs,
    purgeLog: async (run: string) => void purged.push(run),
    forgetRun: async (run: string) => void forgotten.push(run),
    results: async function* () {
      for (const result of results) yield [result];
    },
    forgetResult: async ({ action }: { action: unknown }) => void dropped.push(action),
  } as unknown as Retention;
  return { retention, forgotten, purged, dropped };
}

const idOf = (at: number) => runId(String(at).padStart(12, '0'));
const runOf = (at: number, ageMs: number, hasLog = true): FinishedRun =>
  ({ run: idOf(at), endedAtMs: NOW_MS - ageMs, hasLog }) as FinishedRun;

describe('runs', () => {
  it('lose their logs at their age, and all that is left of them at another', async () => {
    const { retention, purged, forgotten } = retentionOf([
      runOf(1, 0),
      runOf(2, RUN_LOG_KEPT_MS - 1),
      runOf(3, RUN_LOG_KEPT_MS),
      runOf(4, RUN_RECORD_KEPT_MS - 1, false),
      runOf(5, RUN_RECORD_KEPT_MS, false),
    ]);
    expect(await forgetRuns(retention)).toBe(1);
    expect([purged, forgotten]).toEqual([[idOf(3)], [idOf(5)]]);
  });

  it('keep so many logs however young they are, the newest of them', async () => {
    const runs = Array.from({ length: RUN_LOGS_KEPT_MAX + 2 }, (_, at) => runOf(at, at));
    // In whatever order they are listed.
    const { retention, purged } = retentionOf(runs.toReversed());
    expect(await forgetRuns(retention)).toBe(2);
    expect(purged).toEqual([idOf(RUN_LOGS_KEPT_MAX), idOf(RUN_LOGS_KEPT_MAX + 1)]);
  });

  it('are forgotten by the thousand in one pass, the oldest first', async () => {
    const runs = Array.from({ length: RUNS_PER_PASS + 5 }, (_, at) =>
      runOf(at, RUN_LOG_KEPT_MS + at),
    );
    const { retention, purged } = retentionOf(runs);
    expect(await forgetRuns(retention)).toBe(RUNS_PER_PASS);
    expect(purged).toHaveLength(RUNS_PER_PASS);
    expect([purged.includes(idOf(4)), purged.includes(idOf(5))]).toEqual([false, true]);
  });
});

describe('results', () => {
  const action = (name: string) => name as unknown as ActionDigest;
  const resultOf = (name: string, ageMs: number) => ({
    action: action(name),
    recordedAtMs: NOW_MS - ageMs,
  });

  it('are forgotten at their age, unless a run in the log speaks of them', async () => {
    const { retention, dropped } = retentionOf(
      [],
      [
        resultOf('young', RESULT_KEPT_MS - 1),
        resultOf('old', RESULT_KEPT_MS),
        resultOf('spoken of', 2 * RESULT_KEPT_MS),
      ],
    );
    const spokenOf = { has: (one: unknown) => one === 'spoken of' } as never;
    expect(await forgetResults(retention, spokenOf, signal)).toBe(1);
    expect(dropped).toEqual(['old']);
  });
});
