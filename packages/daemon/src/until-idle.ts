import type { Clock, RunLog } from '@podmesh/core';

/** How often a temporary peer looks for work that is left. */
const LOOK_MS = 2_000;
/** It waits this long for its first run. */
const FIRST_RUN_MS = 60_000;
/** Its publisher may still want to read results after the end. */
const LINGER_LOOKS = 5;

/** Resolves when no unfinished run was seen for a while, and one was seen before. */
export async function untilIdle(log: RunLog, clock: Clock, signal: AbortSignal): Promise<void> {
  const startedAtMs = clock.nowMs();
  let seen = false;
  let idleLooks = 0;
  while (!signal.aborted && idleLooks < LINGER_LOOKS) {
    await clock.sleep(LOOK_MS, signal);
    const runs = await log.runs().catch(() => undefined);
    if (runs === undefined) continue;
    const unfinished = runs.some((run) => run.ended === undefined);
    seen ||= unfinished;
    const mayCome = !seen && clock.nowMs() - startedAtMs < FIRST_RUN_MS;
    idleLooks = unfinished || mayCome ? 0 : idleLooks + 1;
  }
}
