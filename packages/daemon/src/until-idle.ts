import type { Clock, RunId, RunLog, RunSummary } from '@podmesh/core';
import type { RunOutlook } from './drive/driver.ts';

/** How often a temporary peer looks for work that is left. */
const LOOK_MS = 2_000;
/** It waits this long for its first run. */
const FIRST_RUN_MS = 60_000;
/** Its publisher may still want to read results after the end. */
const LINGER_LOOKS = 5;

/** What a temporary peer knows of what is left to do. */
export interface WorkInSight {
  readonly log: Pick<RunLog, 'runs'>;
  readonly outlookOf: (run: RunId) => RunOutlook;
}

/** Resolves when nothing was left to do for a while, and something was before. */
export async function untilIdle(
  work: WorkInSight,
  clock: Clock,
  signal: AbortSignal,
): Promise<void> {
  const startedAtMs = clock.nowMs();
  const old = new Set((await work.log.runs().catch(() => [])).map(({ run }) => run));
  let seen = false;
  let idleLooks = 0;
  while (!signal.aborted && idleLooks < LINGER_LOOKS) {
    await clock.sleep(LOOK_MS, signal);
    const runs = await work.log.runs().catch(() => undefined);
    if (runs === undefined) continue;
    const outlooks = outlooksOf(runs, work);
    const isLeft = outlooks.some(isLeftToUs);
    // An old one that waits for a person is not what it was started for.
    seen ||= outlooks.includes('goes-on') || runs.some(({ run }) => !old.has(run));
    const mayCome = !seen && clock.nowMs() - startedAtMs < FIRST_RUN_MS;
    idleLooks = isLeft || mayCome ? 0 : idleLooks + 1;
  }
}

/** Whether a run is unfinished, other than for the want of a person, who may take days. */
export async function isWorkLeft(work: WorkInSight): Promise<boolean> {
  return outlooksOf(await work.log.runs(), work).some(isLeftToUs);
}

function outlooksOf(runs: readonly RunSummary[], { outlookOf }: WorkInSight): RunOutlook[] {
  return runs.filter(({ ended }) => ended === undefined).map(({ run }) => outlookOf(run));
}

/** What another peer drives needs us as well: our server is its mesh. */
const isLeftToUs = (outlook: RunOutlook): boolean => outlook !== 'waits-for-person';
