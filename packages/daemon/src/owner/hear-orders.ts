import type { Clock, ObeyOrder, PeerId, PeerOrders } from '@podmesh/core';
import type { Logger } from 'pino';

/** Rest after the listening loop broke. */
const RETRY_MS = 1_000;

export interface HearOrdersParts {
  readonly peer: PeerId;
  readonly orders: PeerOrders;
  readonly obey: ObeyOrder;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Listens to what people and other peers tell this one, for as long as it lives. */
export class HearOrders {
  readonly #parts: HearOrdersParts;
  readonly #stop = new AbortController();
  #loop: Promise<void> = Promise.resolve();

  constructor(parts: HearOrdersParts) {
    this.#parts = parts;
  }

  start(): void {
    if (!this.#stop.signal.aborted) this.#loop = this.#serve();
  }

  /** Harmless when never started, or twice. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#loop;
  }

  async #serve(): Promise<void> {
    const { orders, peer, obey, clock, logger } = this.#parts;
    const { signal } = this.#stop;
    while (!signal.aborted) {
      await orders.serve(peer, obey, signal).catch((error: unknown) => {
        if (!signal.aborted) logger.warn({ err: error }, 'cannot hear orders; goes on soon');
      });
      if (!signal.aborted) await clock.sleep(RETRY_MS, signal);
    }
  }
}
