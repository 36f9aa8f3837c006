import { type OfferQueue, type RunLog, type TaskEvent, withInputs } from '@podmesh/core';
import type { Logger } from 'pino';
import type { JournalEntry, OpenAttempt } from './attempt-journal.ts';
import type { AttemptInHand, AttemptStep, OnStep } from './attempt-step.ts';
import type { CachedResults } from './cached-results.ts';
import type { Ending } from './container-run-parts.ts';

export interface OutcomesParts {
  readonly log: RunLog;
  readonly offers: OfferQueue;
  readonly logger: Logger;
  readonly onStep?: OnStep | undefined;
}

/** Makes the ending of an attempt a fact: record first, acknowledge last. */
export class Outcomes {
  readonly #parts: OutcomesParts;
  readonly #results: CachedResults;

  constructor(parts: OutcomesParts, results: CachedResults) {
    this.#parts = parts;
    this.#results = results;
  }

  /** Appends it behind our own start, then acknowledges; false: the attempt was lost before. */
  async publish(entry: OpenAttempt, ending: Ending): Promise<boolean> {
    const event = await this.#eventOf(entry, ending);
    const appended = await this.#parts.log.append(event, entry.startedSequence);
    if (!appended.ok) {
      const { run, task, attempt } = entry.offer;
      this.#parts.logger.warn({ run, task, attempt }, 'came too late: the attempt was lost');
      return false;
    }
    this.#step('outcome-appended', entry);
    await this.#settle(entry);
    return true;
  }

  /**
   * The event that tells the ending. A result goes into the cache before it is published: whoever
   * sees the end of a run and publishes the same graph again must find all of it there.
   */
  async #eventOf(entry: JournalEntry, ending: Ending): Promise<TaskEvent> {
    const { offer, claim } = entry;
    const { run, task, attempt } = offer;
    if (ending.kind === 'failed') {
      const { failure } = ending;
      this.#parts.logger.info({ run, task, attempt, failure: failure.kind }, failure.message);
      return { kind: 'attempt-failed', run, task, attempt, claim, failure };
    }
    const { result } = ending;
    this.#parts.logger.debug({ run, task, attempt }, 'succeeded');
    // What it read of sources outside of the mesh is known since.
    const whole = withInputs(offer, result.inputs);
    const action = this.#results.actionOf(whole, result.image);
    if (offer.cache) await this.#results.record(whole, result);
    this.#step('result-recorded', entry);
    return { kind: 'attempt-succeeded', run, task, attempt, claim, action, result };
  }

  /** Not settled: the offer comes again, to us or another, and is seen to be history. */
  async #settle(entry: JournalEntry): Promise<void> {
    const { ticket, offer } = entry;
    try {
      await this.#parts.offers.settle(ticket);
      this.#step('offer-settled', entry);
    } catch (error) {
      const about = { run: offer.run, task: offer.task, attempt: offer.attempt, err: error };
      this.#parts.logger.debug(about, 'could not acknowledge a settled offer');
    }
  }

  #step(step: AttemptStep, attempt: AttemptInHand): void {
    this.#parts.onStep?.(step, attempt);
  }
}
