import {
  type DigestSet,
  type FinishedRun,
  RESULT_KEPT_MS,
  type Retention,
  RUN_LOG_KEPT_MS,
  RUN_LOGS_KEPT_MAX,
  RUN_RECORD_KEPT_MS,
} from '@podmesh/core';

/** Runs whose logs, or ends, are purged in one pass: the rest is for the next. */
const RUNS_PER_PASS_MAX = 1_000;
/** Results that are forgotten in one pass. */
const RESULTS_PER_PASS_MAX = 100_000;

/** Purges the logs of runs that ended long ago, and what is left of those that ended very long ago (DESIGN §5). How many. */
export async function forgetRuns(retention: Retention): Promise<number> {
  const nowMs = await retention.nowMs();
  const runs = [...(await retention.finishedRuns())].sort((a, b) => b.endedAtMs - a.endedAtMs);
  const ageOf = ({ endedAtMs }: FinishedRun): number => nowMs - endedAtMs;
  const logs = runs.filter(({ hasLog }) => hasLog);
  const old = logs.filter(
    (run, position) => ageOf(run) >= RUN_LOG_KEPT_MS || position >= RUN_LOGS_KEPT_MAX,
  );
  const ancient = runs.filter((run) => ageOf(run) >= RUN_RECORD_KEPT_MS);
  for (const { run } of ancient.slice(-RUNS_PER_PASS_MAX)) await retention.forgetRun(run);
  for (const { run } of old.slice(-RUNS_PER_PASS_MAX)) await retention.purgeLog(run);
  return Math.min(old.length, RUNS_PER_PASS_MAX);
}

/** Forgets results that are old and that no run in the log speaks of. How many. */
export async function forgetResults(
  retention: Retention,
  spokenOf: DigestSet,
  signal: AbortSignal,
): Promise<number> {
  const nowMs = await retention.nowMs();
  let forgotten = 0;
  for await (const batch of retention.results(signal)) {
    for (const result of batch) {
      if (nowMs - result.recordedAtMs < RESULT_KEPT_MS || spokenOf.has(result.action)) continue;
      await retention.forgetResult(result);
      forgotten += 1;
      if (forgotten >= RESULTS_PER_PASS_MAX) return forgotten;
    }
  }
  return forgotten;
}
