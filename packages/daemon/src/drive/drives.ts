import {
  type Claimed,
  type Clock,
  DRIVES_PER_PEER_MAX,
  type DriveQueue,
  type LeaseKeeper,
  type RunId,
  type RunLog,
} from '@podmesh/core';
import type { Logger } from 'pino';
import { WakeUp } from '../wake-up.ts';
import type { DriveEnding } from './driver.ts';

/** How long one request for drives waits in the queue. */
const PULL_WAIT_MS = 5_000;
/** Rest after a failed request. */
const RETRY_MS = 1_000;
/** Unfinished runs are compared with the queued drives this often. */
const ADOPT_ORPHANS_MS = 15_000;

export interface DrivesParts {
  readonly queue: DriveQueue;
  readonly log: RunLog;
  readonly leases: LeaseKeeper;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly drive: (run: RunId, signal: AbortSignal) => Promise<DriveEnding>;
  /** How many of the runs driven here only wait for a person: they cost nothing and take no place. */
  readonly parked: () => number;
}

/** Claims drives and drives their runs; publishes again what got lost. Any peer does this for all runs. */
export class Drives {
  readonly #parts: DrivesParts;
  readonly #stop = new AbortController();
  readonly #driving = new Map<RunId, Promise<void>>();
  readonly #roomMade = new WakeUp();
  /** Aborted while drives are for others. */
  #open = new AbortController();
  #loops: Promise<unknown> = Promise.resolve();

  constructor(parts: DrivesParts) {
    this.#parts = parts;
  }

  get driving(): number {
    return this.#driving.size;
  }

  start(): void {
    this.#loops = Promise.all([this.#pull(), this.#readoptOrphans()]);
  }

  /** Gives all drives back to the queue now, and claims none before `resume`; resolves when they are given back. */
  async hold(): Promise<void> {
    this.#open.abort();
    await Promise.all(this.#driving.values());
  }

  /** Harmless when nothing was held. */
  resume(): void {
    if (!this.#open.signal.aborted) return;
    this.#open = new AbortController();
    this.#roomMade.ring();
  }

  /** Gives all drives back to the queue, without waiting for their runs. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await Promise.all([this.#loops, ...this.#driving.values()]);
  }

  async #pull(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      const room = DRIVES_PER_PEER_MAX - (this.#driving.size - this.#parts.parked());
      const open = this.#open.signal;
      if (room <= 0 || open.aborted) {
        await this.#untilRoom(signal);
        continue;
      }
      try {
        // One at a time, so that the runs of a burst spread over the peers.
        const asking = AbortSignal.any([signal, open]);
        for await (const claimed of this.#parts.queue.pull(1, PULL_WAIT_MS, asking)) {
          await this.#take(claimed);
        }
      } catch (error) {
        this.#parts.logger.warn({ err: error }, 'could not pull drives; trying again');
        await this.#parts.clock.sleep(RETRY_MS, signal);
      }
    }
  }

  /** A run that begins to wait for a person makes room without ringing: therefore not for ever. */
  async #untilRoom(signal: AbortSignal): Promise<void> {
    const enough = new AbortController();
    const late = AbortSignal.any([signal, enough.signal]);
    await Promise.race([
      this.#roomMade.next(late),
      this.#parts.clock.sleep(ADOPT_ORPHANS_MS, late),
    ]);
    enough.abort('enough');
  }

  async #take(claimed: Claimed<RunId>): Promise<void> {
    const run = claimed.value;
    if (this.#stop.signal.aborted || this.#open.signal.aborted) return claimed.giveBack(0);
    // A copy of a drive that is at work here: one is enough.
    if (this.#driving.has(run)) return claimed.ack();
    const work = this.#drive(claimed)
      .catch((error: unknown) => {
        this.#parts.logger.error({ run, err: error }, 'driving a run failed; another peer will');
      })
      .finally(() => {
        this.#driving.delete(run);
        this.#roomMade.ring();
      });
    this.#driving.set(run, work);
  }

  async #drive(claimed: Claimed<RunId>): Promise<void> {
    const run = claimed.value;
    const lost = new AbortController();
    const lease = this.#parts.leases.keep(claimed.ticket, () => lost.abort());
    try {
      this.#parts.logger.info({ run }, 'driving');
      const signal = AbortSignal.any([this.#stop.signal, this.#open.signal, lost.signal]);
      const ending = await this.#parts.drive(run, signal);
      this.#parts.logger.info({ run, ending }, 'no longer driving');
      if (ending !== 'stopped') await claimed.ack();
      else if (!lost.signal.aborted) await claimed.giveBack(0);
    } catch (error) {
      await claimed.giveBack(RETRY_MS).catch(() => undefined);
      throw error;
    } finally {
      lease.release();
    }
  }

  async #readoptOrphans(): Promise<void> {
    const { signal } = this.#stop;
    let orphans: ReadonlySet<RunId> = new Set();
    while (!signal.aborted) {
      await this.#parts.clock.sleep(ADOPT_ORPHANS_MS, signal);
      if (signal.aborted) return;
      try {
        const seen = await this.#findOrphans();
        // Twice in a row: one that was just published has its drive by then.
        for (const run of seen) if (orphans.has(run)) await this.#parts.queue.publish(run);
        orphans = seen;
      } catch (error) {
        this.#parts.logger.warn({ err: error }, 'could not look for runs without a driver');
      }
    }
  }

  async #findOrphans(): Promise<ReadonlySet<RunId>> {
    const unfinished = (await this.#parts.log.runs()).filter((run) => run.ended === undefined);
    if (unfinished.length === 0) return new Set();
    const waiting = await this.#parts.queue.waiting();
    return new Set(unfinished.map(({ run }) => run).filter((run) => !waiting.has(run)));
  }
}
