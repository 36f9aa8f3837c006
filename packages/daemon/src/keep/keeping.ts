import type { Clock, OutputKeepers, PeerId, RunLog } from '@podmesh/core';
import type { Logger } from 'pino';
import type { RunPins } from '../store/run-pins.ts';
import type { KeepOrders } from './keep-orders.ts';

/** Rest after an answering loop broke. */
const RETRY_MS = 1_000;
/** Orders that nobody repeats are looked for this often… */
const LOOK_MS = 15_000;
/** …and runs that are over so many times less often. */
const LOOKS_PER_RUN_LOOK = 4;

export interface KeepingParts {
  readonly peer: PeerId;
  readonly keepers: OutputKeepers;
  readonly orders: KeepOrders;
  readonly pins: Pick<RunPins, 'runs' | 'releaseRun'>;
  readonly log: Pick<RunLog, 'runs'>;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** This peer as one that keeps outputs, its own and others', for as long as their runs need that. */
export class Keeping {
  readonly #parts: KeepingParts;
  readonly #stop = new AbortController();
  #loops: Promise<unknown> = Promise.resolve();

  constructor(parts: KeepingParts) {
    this.#parts = parts;
  }

  start(): void {
    this.#loops = Promise.all([this.#serve(), this.#look()]);
  }

  /** Harmless when never started, or twice. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#parts.orders.stop();
    await this.#loops;
  }

  async #serve(): Promise<void> {
    const { keepers, peer, orders, clock, logger } = this.#parts;
    const { signal } = this.#stop;
    while (!signal.aborted) {
      await keepers.serve(peer, orders, signal).catch((error: unknown) => {
        if (!signal.aborted) logger.warn({ err: error }, 'cannot keep outputs; goes on soon');
      });
      if (!signal.aborted) await clock.sleep(RETRY_MS, signal);
    }
  }

  async #look(): Promise<void> {
    const { clock, orders, logger } = this.#parts;
    const { signal } = this.#stop;
    for (let looks = 1; !signal.aborted; looks += 1) {
      await clock.sleep(LOOK_MS, signal);
      if (signal.aborted) return;
      orders.endLeftAlone();
      if (looks % LOOKS_PER_RUN_LOOK !== 0) continue;
      await this.#releaseEnded().catch((error: unknown) => {
        logger.warn({ err: error }, 'could not look which runs are over; trying again');
      });
    }
  }

  /** Of a run that has ended, or whose log is gone, nothing needs to be held any more. */
  async #releaseEnded(): Promise<void> {
    const { pins, log } = this.#parts;
    const held = pins.runs;
    if (held.size === 0) return;
    const logged = await log.runs();
    const open = new Set(logged.filter(({ ended }) => ended === undefined).map(({ run }) => run));
    for (const run of held) if (!open.has(run)) await pins.releaseRun(run);
  }
}
