import type { Clock, DrainTold } from '@podmesh/core';
import type { Logger } from 'pino';
import type { Drives } from '../drive/drives.ts';
import type { Executor } from '../execute/executor.ts';
import { handedBack } from '../execute/stop-order.ts';
import type { HandOver } from '../keep/hand-over.ts';

/** What other peers are getting from us is looked at this often… */
const HAND_OVER_MS = 1_000;
/** …and, where nobody takes it, whether somebody came who does. */
const HAND_OVER_AGAIN_MS = 15_000;
/** A drain is over at the latest so long after its last attempt, whatever is only here. */
export const HAND_OVER_MS_MAX = 10 * 60_000;

export interface DrainOrder {
  /** Who asked for it, or what did; for people. */
  readonly by: string;
  /** What runs has so long to end by itself. */
  readonly deadlineMs: number;
  /** What follows "its machine " where attempts are given back. */
  readonly why?: string;
  readonly handOverMs?: number;
}

export interface DrainParts {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly executor: Pick<Executor, 'idle' | 'endAll'>;
  readonly drives: Pick<Drives, 'hold' | 'resume'>;
  /** Absent: nothing is on this peer alone. */
  readonly handOver?: Pick<HandOver, 'round'>;
  /** Called when what it tells has changed. */
  readonly onChange: () => void;
}

interface Draining {
  readonly order: DrainOrder;
  readonly over: AbortController;
  state: DrainTold['state'];
  unkept: number;
}

/** Brings a peer to its end in peace: drives go at once, attempts when they are done or their time is up, outputs to others. */
export class Drain {
  readonly #parts: DrainParts;
  #at: Draining | undefined;
  readonly #works = new Set<Promise<void>>();

  constructor(parts: DrainParts) {
    this.#parts = parts;
  }

  /** For the directory of peers; undefined while nobody drains it. */
  get told(): DrainTold | undefined {
    if (this.#at === undefined) return undefined;
    const { order, state, unkept } = this.#at;
    return { by: order.by, state, unkept };
  }

  /** Why nothing is claimed; undefined while that is not the reason. */
  get reason(): string | undefined {
    const told = this.told;
    if (told === undefined) return undefined;
    const left = told.unkept === 0 ? '' : `; outputs or logs of ${told.unkept} tasks are only here`;
    return `${told.state} (${told.by})${left}`;
  }

  /** Resolves when it may go, or somebody changed their mind. Another order takes the place of the one before. */
  async begin(order: DrainOrder): Promise<void> {
    this.#at?.over.abort();
    const at: Draining = { order, over: new AbortController(), state: 'draining', unkept: 0 };
    this.#at = at;
    this.#parts.logger.info({ by: order.by, deadlineMs: order.deadlineMs }, 'draining');
    this.#parts.onChange();
    const isDone = new Promise<void>((done) => {
      const work = this.#carryOut(at, done)
        .catch((error: unknown) => {
          this.#parts.logger.error({ err: error }, 'draining broke; please report it');
        })
        .finally(() => {
          this.#works.delete(work);
          done();
        });
      this.#works.add(work);
    });
    await isDone;
  }

  /** Claims again. Harmless when it was not drained. */
  end(): void {
    if (this.#at === undefined) return;
    this.#at.over.abort();
    this.#at = undefined;
    this.#parts.logger.info('drained no more');
    this.#parts.drives.resume();
    this.#parts.onChange();
  }

  /** Waits for nothing more; what was begun stays as it is. */
  async stop(): Promise<void> {
    this.#at?.over.abort();
    await Promise.all(this.#works);
  }

  async #carryOut(at: Draining, done: () => void): Promise<void> {
    const { clock, executor, drives } = this.#parts;
    const { signal } = at.over;
    const { deadlineMs, why = 'was drained' } = at.order;
    const held = drives.hold();
    const idle = executor.idle();
    const late = new AbortController();
    const inTime = idle.then(() => late.abort('in time'));
    await Promise.race([inTime, clock.sleep(deadlineMs, AbortSignal.any([signal, late.signal]))]);
    if (signal.aborted) return;
    executor.endAll(handedBack(why));
    await Promise.race([Promise.all([inTime, held]), aborted(signal)]);
    if (!signal.aborted) await this.#handOver(at, done);
  }

  async #handOver(at: Draining, done: () => void): Promise<void> {
    const { clock, handOver } = this.#parts;
    const { signal } = at.over;
    const untilMs = clock.nowMs() + (at.order.handOverMs ?? HAND_OVER_MS_MAX);
    while (!signal.aborted) {
      const { left, isHopeless } = (await handOver?.round(signal)) ?? NOTHING_LEFT;
      if (signal.aborted) return;
      const state = left === 0 || isHopeless || clock.nowMs() >= untilMs ? 'drained' : 'draining';
      this.#become(at, state, left);
      if (state === 'drained') done();
      if (left === 0) return;
      await clock.sleep(isHopeless ? HAND_OVER_AGAIN_MS : HAND_OVER_MS, signal);
    }
  }

  #become(at: Draining, state: DrainTold['state'], unkept: number): void {
    if (at.state === state && at.unkept === unkept) return;
    at.state = state;
    at.unkept = unkept;
    this.#parts.onChange();
  }
}

const NOTHING_LEFT = { left: 0, isHopeless: false } as const;

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
