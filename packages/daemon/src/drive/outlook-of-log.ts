import {
  applyEvent,
  type Graph,
  initialRunState,
  type RunId,
  type RunLog,
  type RunPublished,
  type RunState,
  waitsForPerson,
} from '@podmesh/core';
import type { RunOutlook } from './driver.ts';

export interface LoggedRuns {
  readonly log: Pick<RunLog, 'read'>;
  readonly loadGraph: (published: RunPublished) => Promise<Graph>;
}

/**
 * The outlook of a run that another peer drives, folded from its log. Costs as much as the run is
 * long. Throws what keeps it from reading the run.
 */
export async function outlookOfLog(
  runs: LoggedRuns,
  run: RunId,
  signal?: AbortSignal,
): Promise<RunOutlook> {
  let state: RunState | undefined;
  for await (const batch of runs.log.read(run, signal)) {
    for (const logged of batch) {
      if (logged.event.kind === 'run-published') {
        state = initialRunState(await runs.loadGraph(logged.event));
      }
      if (state !== undefined) applyEvent(state, logged);
    }
  }
  if (state === undefined) return 'unknown';
  return waitsForPerson(state) ? 'waits-for-person' : 'goes-on';
}
