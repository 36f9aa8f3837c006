import {
  type ClaimId,
  type Clock,
  hasCpuBudget,
  overspent,
  type PeerDirectory,
  type RunId,
  type RunLog,
  type RunState,
  spawnSequence,
} from '@podmesh/core';
import type { Logger } from 'pino';

/** What peers say of the CPU time of their attempts comes with their heartbeats: looking more often tells nothing new. */
const LOOK_MS = 2_000;

export interface BudgetWatchParts {
  readonly run: RunId;
  readonly log: Pick<RunLog, 'append'>;
  readonly peers: Pick<PeerDirectory, 'list'>;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * Adds up, as long as a run is driven, what sub-tasks have used of the CPU time that the document gives them, and tells the
 * log when it is used up; decisions follow from that. A peer that cannot be heard is charged when its attempts end.
 */
export async function watchBudgets(
  parts: BudgetWatchParts,
  stateNow: () => RunState | undefined,
  stop: AbortSignal,
): Promise<void> {
  const { clock, logger } = parts;
  while (!stop.aborted) {
    await clock.sleep(LOOK_MS, stop);
    const state = stateNow();
    if (state === undefined || stop.aborted || !hasCpuBudget(state)) continue;
    try {
      await tellSpent(parts, state);
    } catch (error) {
      logger.warn({ err: error }, 'could not look after the CPU time of sub-tasks; trying again');
    }
  }
}

/** Refused: something was spawned meanwhile, and the next look sees that. */
async function tellSpent(
  { run, log, peers, logger }: BudgetWatchParts,
  state: RunState,
): Promise<void> {
  const spending = new Map<string, number>();
  for (const entry of await peers.list()) {
    for (const [claim, cpuMs] of Object.entries(entry.spending ?? {})) spending.set(claim, cpuMs);
  }
  for (const { task, cpuMs } of overspent(state, (claim: ClaimId) => spending.get(claim))) {
    const parent = state.index.idOf(task);
    const event = { kind: 'budget-spent', run, parent, cpuMs } as const;
    await log.append(event, spawnSequence(state, parent));
    logger.info({ run, task: parent, cpuMs }, 'the CPU time of its sub-tasks is used up');
  }
}
