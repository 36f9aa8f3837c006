import { type Clock, HEARTBEAT_MS } from '@podmesh/core';
import type { Logger } from 'pino';

export interface HeartbeatParts {
  /** Throws what the mesh says to it. */
  readonly announce: () => Promise<void>;
  /** Whether the last announcement got through. */
  readonly wasHeard: () => boolean;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Announces this peer again and again, and at once when there is news. */
export class Heartbeat {
  readonly #parts: HeartbeatParts;
  /** Ends the rest until the next one. */
  #rest = new AbortController();

  constructor(parts: HeartbeatParts) {
    this.#parts = parts;
  }

  /** The next one comes now. */
  hurry(): void {
    this.#rest.abort('news');
  }

  /** One of them. Never throws. */
  async beat(): Promise<void> {
    const { announce, wasHeard: heard, logger } = this.#parts;
    const wasHeard = heard();
    try {
      await announce();
      if (!wasHeard) logger.info('the mesh hears this peer again');
    } catch (error) {
      // Once for each absence: it is tried again every few seconds, for hours if need be.
      if (wasHeard) logger.warn({ err: error }, 'could not announce this peer; trying again');
    }
  }

  /** Resolves once the signal aborts and the announcement under way has ended. */
  async run(signal: AbortSignal): Promise<void> {
    // Once: signals joined anew for every beat would stay with this one as long as the daemon lives.
    const end = (): void => this.#rest.abort('stopped');
    signal.addEventListener('abort', end);
    while (!signal.aborted) {
      this.#rest = new AbortController();
      const { signal: rest } = this.#rest;
      await this.beat();
      if (!signal.aborted) await this.#parts.clock.sleep(HEARTBEAT_MS, rest);
    }
    signal.removeEventListener('abort', end);
  }
}
