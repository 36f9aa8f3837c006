import type { Clock, KeepOffering } from '@podmesh/core';
import type { Logger } from 'pino';
import type { DiskBudget } from '../store/disk-budget.ts';

/** Looking through the whole store takes a while. */
const MEASURE_MS = 30_000;
/** The label of a peer that is there to keep what others make. */
const STORE_LABEL = 'role=store';

export interface KeepRoomParts {
  readonly budget: Pick<DiskBudget, 'roomForCopies'>;
  /** The same for all peers of this machine, and for no others. */
  readonly host: string;
  readonly labels: readonly string[];
  /** Whether it runs the mesh's server. */
  readonly isAnchor: boolean;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** What this peer tells of itself as one that keeps outputs for others. */
export class KeepRoom {
  readonly #parts: KeepRoomParts;
  readonly #stop = new AbortController();
  #loop: Promise<void> = Promise.resolve();
  #freeBytes: number | undefined;

  constructor(parts: KeepRoomParts) {
    this.#parts = parts;
  }

  /** Undefined before the first measurement, and while the disk cannot be measured. */
  get offering(): KeepOffering | undefined {
    if (this.#freeBytes === undefined) return undefined;
    const { host, labels, isAnchor } = this.#parts;
    const roles = [
      ...(labels.includes(STORE_LABEL) ? (['store'] as const) : []),
      ...(isAnchor ? (['anchor'] as const) : []),
    ];
    return { freeBytes: this.#freeBytes, host, ...(roles.length === 0 ? {} : { roles }) };
  }

  async start(): Promise<void> {
    await this.#measure();
    this.#loop = this.#keepMeasuring();
  }

  /** Harmless when never started, or twice. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#loop;
  }

  async #keepMeasuring(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      await this.#parts.clock.sleep(MEASURE_MS, signal);
      if (!signal.aborted) await this.#measure();
    }
  }

  async #measure(): Promise<void> {
    try {
      this.#freeBytes = await this.#parts.budget.roomForCopies();
    } catch (error) {
      this.#freeBytes = undefined;
      this.#parts.logger.warn({ err: error }, 'the disk cannot be measured; keeps nothing new');
    }
  }
}
