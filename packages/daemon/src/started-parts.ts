import type { Logger } from 'pino';
import { systemClock } from './system-clock.ts';

/** What has been started, as the ways to stop it: the last one first. */
export class StartedParts {
  readonly #stops: { readonly part: string; readonly stop: () => Promise<void> }[] = [];

  /** To be called before the part's own start, which may fail half-way; `part` is its name in the log. */
  add(part: string, stop: () => Promise<void>): void {
    this.#stops.push({ part, stop });
  }

  /** Works at any time, and twice; a part that cannot be stopped keeps none of the others from it. */
  async stop(logger: Logger): Promise<void> {
    for (let last = this.#stops.pop(); last !== undefined; last = this.#stops.pop()) {
      const { part, stop } = last;
      const from = systemClock.nowMs();
      await stop().catch((error: unknown) => {
        logger.warn({ part, err: error }, 'a part did not stop cleanly');
      });
      logger.debug({ part, ms: Math.round(systemClock.nowMs() - from) }, 'stopped');
    }
  }
}
