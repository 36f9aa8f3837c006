import type { Clock } from '@podmesh/core';
import { systemClock } from '@podmesh/transfer';
import type { Logger } from 'pino';

/** A part that waits for a mesh that is away waits in vain: what it wanted to tell is told by its leases' end. */
export const PART_STOP_MS_MAX = 20_000;

/** What has been started, as the ways to stop it: the last one first. */
export class StartedParts {
  readonly #stops: { readonly part: string; readonly stop: () => Promise<void> }[] = [];

  /** To be called before the part's own start, which may fail half-way; `part` is its name in the log. */
  add(part: string, stop: () => Promise<void>): void {
    this.#stops.push({ part, stop });
  }

  /** Works at any time, and twice; a part that cannot be stopped, or not in time, keeps none of the others from it. */
  async stop(logger: Logger, clock: Clock = systemClock): Promise<void> {
    for (let last = this.#stops.pop(); last !== undefined; last = this.#stops.pop()) {
      const { part, stop } = last;
      const from = clock.nowMs();
      const ended = new AbortController();
      const stopped = stop()
        .catch((error: unknown) => logger.warn({ part, err: error }, 'a part did not stop cleanly'))
        .finally(() => ended.abort('stopped'));
      await Promise.race([stopped, clock.sleep(PART_STOP_MS_MAX, ended.signal)]);
      const ms = Math.round(clock.nowMs() - from);
      if (ended.signal.aborted) logger.debug({ part, ms }, 'stopped');
      else
        logger.warn(
          { part, ms },
          'a part did not stop in time; the others are stopped all the same',
        );
    }
  }
}
