import type { ClaimId, RunningContainer } from '@podmesh/core';
import type { CapacityLedger } from '../claim/capacity-ledger.ts';
import type { JournalEntry } from './attempt-journal.ts';
import type { Executor, ExecutorParts } from './executor.ts';

/**
 * Compares containers with claims, in both directions: what an earlier session started is adopted
 * while the log still says it is ours, everything else with our label and id is removed.
 * Containers of others are never touched.
 */
export class Leftovers {
  readonly #parts: ExecutorParts | Omit<ExecutorParts, 'machine'>;
  readonly #executor: Executor;
  readonly #ledger: CapacityLedger;

  constructor(
    parts: ExecutorParts | Omit<ExecutorParts, 'machine'>,
    executor: Executor,
    ledger: CapacityLedger,
  ) {
    this.#parts = parts;
    this.#executor = executor;
    this.#ledger = ledger;
  }

  /** Never throws: what could not be reconciled now is found again the next time. */
  async reconcile(): Promise<void> {
    try {
      const entries = new Map<ClaimId, JournalEntry>();
      for (const entry of await this.#parts.journal.list()) entries.set(entry.claim, entry);
      for (const container of await this.#parts.runtime.leftovers(this.#parts.peer)) {
        const entry = entries.get(container.labels.claim);
        await this.#each(() => this.#settle(container, entry));
        entries.delete(container.labels.claim);
      }
      for (const entry of entries.values()) await this.#each(() => this.#forget(entry));
    } catch (error) {
      this.#parts.logger.warn({ err: error }, 'could not look for containers left behind');
    }
  }

  /** One that cannot be settled now must not keep the others from it. */
  async #each(settle: () => Promise<void>): Promise<void> {
    try {
      await settle();
    } catch (error) {
      this.#parts.logger.warn(
        { err: error },
        'could not settle what was left behind; will try again',
      );
    }
  }

  async #settle(container: RunningContainer, entry: JournalEntry | undefined): Promise<void> {
    const { run, task, attempt, claim } = container.labels;
    if (this.#executor.holds(claim)) return;
    const reservation = entry && this.#ledger.reserve(entry.offer.requirements);
    if (entry !== undefined && reservation !== undefined) {
      if (await this.#executor.adopt(entry, container, reservation)) {
        this.#parts.logger.info(
          { run, task, attempt },
          'adopted a container of an earlier session',
        );
        return;
      }
      reservation.release();
    }
    await container.remove();
    if (entry !== undefined) await this.#forget(entry);
    this.#parts.logger.info({ run, task, attempt }, 'removed a container that was left behind');
  }

  /** Begun, but no container came of it: the queue hands the offer out again. */
  async #forget(entry: JournalEntry): Promise<void> {
    if (this.#executor.holds(entry.claim)) return;
    await this.#parts.files.removeScratch(entry.claim);
    await this.#parts.journal.remove(entry.claim);
  }
}
