import type { Logged, OfferQueue, RunEvent, RunId, RunLog } from '@podmesh/core';
import type { Observer } from './observer.ts';

/** Runs whose time of publication is remembered; more than one peer drives. */
const RUNS_MAX = 1_024;

/** The ports a driver writes with, and everything that goes through them told to the observers. */
export class ObservedPorts {
  readonly #observers: readonly Observer[];
  readonly #nowMs: () => number;
  readonly #publishedMs = new Map<RunId, number>();

  constructor(observers: readonly Observer[], nowMs: () => number) {
    this.#observers = observers;
    this.#nowMs = nowMs;
  }

  log(log: RunLog): RunLog {
    return {
      append: async (event, expected) => {
        const appended = await log.append(event, expected);
        if (appended.ok && event.kind === 'run-ended') this.#tellEnd(event);
        return appended;
      },
      follow: (run, after, signal) => this.#following(run, after, log.follow(run, after, signal)),
      lastOfTask: (run, task) => log.lastOfTask(run, task),
      read: (run, signal) => log.read(run, signal),
      runs: () => log.runs(),
      cancellations: (signal) => log.cancellations(signal),
      isOver: (run) => log.isOver(run),
    };
  }

  offers(queue: OfferQueue): OfferQueue {
    return {
      publish: async (offers) => {
        const fromMs = this.#nowMs();
        await queue.publish(offers);
        const span = { fromMs, toMs: Math.max(fromMs, this.#nowMs()) };
        if (offers.length > 0) for (const one of this.#observers) one.offered?.(offers, span);
      },
      pull: (lane, limit, waitMs, signal) => queue.pull(lane, limit, waitMs, signal),
      waiting: (run) => queue.waiting(run),
      discard: (run) => queue.discard(run),
      settle: (ticket) => queue.settle(ticket),
    };
  }

  /** Whoever follows a run from its first event is its driver, or a task that looks at it. */
  async *#following(
    run: RunId,
    after: number,
    batches: AsyncIterable<readonly Logged[]>,
  ): AsyncIterable<readonly Logged[]> {
    let isFirst = after === 0;
    for await (const batch of batches) {
      if (isFirst) this.#notePublication(run, batch);
      isFirst = false;
      yield batch;
    }
  }

  #notePublication(run: RunId, batch: readonly Logged[]): void {
    const [first] = batch;
    if (first?.event.kind !== 'run-published' || this.#publishedMs.has(run)) return;
    const publishedMs = Date.parse(first.at);
    this.#publishedMs.set(run, publishedMs);
    const [oldest] = this.#publishedMs.keys();
    if (this.#publishedMs.size > RUNS_MAX && oldest !== undefined) this.#publishedMs.delete(oldest);
    // More than that, and somebody has driven it before.
    if (batch.length > 1) return;
    // The server's clock may be ahead of ours.
    const span = { fromMs: publishedMs, toMs: Math.max(publishedMs, this.#nowMs()) };
    for (const one of this.#observers) one.published?.(run, span);
  }

  #tellEnd(event: Extract<RunEvent, { kind: 'run-ended' }>): void {
    const toMs = this.#nowMs();
    const fromMs = Math.min(this.#publishedMs.get(event.run) ?? toMs, toMs);
    this.#publishedMs.delete(event.run);
    for (const one of this.#observers) one.runEnded?.(event, { fromMs, toMs });
  }
}
