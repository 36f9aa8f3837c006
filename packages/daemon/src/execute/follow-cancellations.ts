import type { Clock, RunLog } from '@podmesh/core';
import type { Logger } from 'pino';
import type { Executor } from './executor.ts';

/** A cancellation that went unnoticed is found at most this late. */
const POLL_MS = 10_000;
/** Rest after a stream of them broke. */
const RETRY_MS = 1_000;

interface CancellationParts {
  readonly log: Pick<RunLog, 'cancellations' | 'isOver'>;
  readonly executor: Pick<Executor, 'cancel' | 'activeRuns' | 'endSettled'>;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Ends what is at work here for runs that are over: at once where that is heard of, later in any case. */
export async function followCancellations(
  parts: CancellationParts,
  signal: AbortSignal,
): Promise<void> {
  await Promise.all([hear(parts, signal), poll(parts, signal)]);
}

async function hear(
  { log, executor, clock, logger }: CancellationParts,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    try {
      for await (const run of log.cancellations(signal)) executor.cancel(run);
    } catch (error) {
      logger.warn({ err: error }, 'no longer hears of cancellations; trying again');
    }
    await clock.sleep(RETRY_MS, signal);
  }
}

async function poll(
  { log, executor, clock }: CancellationParts,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    await clock.sleep(POLL_MS, signal);
    for (const run of executor.activeRuns()) {
      const over = await log.isOver(run).catch(() => false);
      if (over) executor.cancel(run);
    }
    await executor.endSettled().catch(() => undefined);
  }
}
