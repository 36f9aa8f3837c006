import type { ClaimId, Failure, Offer, RunningContainer } from '@podmesh/core';
import type { CapacityLedger } from '../claim/capacity-ledger.ts';
import type { JournalEntry } from './attempt-journal.ts';
import type { Executor } from './executor.ts';
import type { ExecutorParts } from './executor-parts.ts';

export type LeftoversParts = Pick<
  ExecutorParts,
  'journal' | 'runtime' | 'files' | 'peer' | 'machine' | 'logger'
>;

/**
 * Compares containers with claims, in both directions: what an earlier session started is adopted
 * while the log still says it is ours, everything else with our label and id is removed; a claim of
 * ours that nobody is at work on gets its outcome at once. Containers of others are never touched.
 */
export class Leftovers {
  readonly #parts: LeftoversParts;
  readonly #executor: Executor;
  readonly #ledger: CapacityLedger;

  constructor(parts: LeftoversParts, executor: Executor, ledger: CapacityLedger) {
    this.#parts = parts;
    this.#executor = executor;
    this.#ledger = ledger;
  }

  /** Never throws: what could not be reconciled now is found again the next time. */
  async reconcile(): Promise<void> {
    try {
      // Containers last: a claim whose container is started meanwhile is not among the entries.
      const entries = new Map<ClaimId, JournalEntry>();
      const all = await this.#parts.journal.list();
      for (const entry of all) entries.set(entry.claim, entry);
      for (const container of await this.#parts.runtime.leftovers(this.#parts.peer)) {
        const entry = entries.get(container.labels.claim);
        const hasKin = entry !== undefined && kinOf(entry, all).length > 0;
        await this.#each(container.labels, () => this.#settle(container, entry, hasKin));
        entries.delete(container.labels.claim);
      }
      for (const entry of entries.values()) {
        await this.#each(entry.offer, () => this.#conclude(entry, whatBecameOf(entry)));
      }
    } catch (error) {
      this.#parts.logger.warn({ err: error }, 'could not look for containers left behind');
    }
  }

  /** One that cannot be settled now must not keep the others from it. */
  async #each(
    { run, task, attempt }: Pick<Offer, 'run' | 'task' | 'attempt'>,
    settle: () => Promise<void>,
  ): Promise<void> {
    try {
      await settle();
    } catch (error) {
      this.#parts.logger.warn(
        { run, task, attempt, err: error },
        'could not settle what was left behind; will try again',
      );
    }
  }

  /** `hasKin`: a task that it spawned, or that spawned it, was at work here too, on the same cores. */
  async #settle(
    container: RunningContainer,
    entry: JournalEntry | undefined,
    hasKin: boolean,
  ): Promise<void> {
    const { run, task, attempt, claim } = container.labels;
    if (this.#executor.holds(claim)) return;
    // What a restart of the machine ended would look like a task that was killed by its own doing.
    const isOver = entry?.started?.isOfThisBoot === false;
    const reservation = isOver
      ? undefined
      : entry && this.#ledger.reserve(entry.offer.requirements, hasKin);
    if (entry !== undefined && reservation !== undefined) {
      // Not known whether it is ours, when the log cannot be asked: then nothing is decided now.
      const isAdopted = await this.#executor
        .adopt(entry, container, reservation)
        .catch((error: unknown) => {
          reservation.release();
          throw error;
        });
      if (isAdopted) {
        this.#parts.logger.info(
          { run, task, attempt },
          'adopted a container of an earlier session',
        );
        return;
      }
      reservation.release();
    }
    await container.remove();
    if (entry !== undefined) await this.#conclude(entry, isOver ? whatBecameOf(entry) : NO_ROOM);
    this.#parts.logger.info({ run, task, attempt }, 'removed a container that was left behind');
  }

  /** Nobody is at work on it: the log hears so now, not when the lease has run out. */
  async #conclude(entry: JournalEntry, failure: Pick<Failure, 'kind' | 'message'>): Promise<void> {
    if (this.#executor.holds(entry.claim)) return;
    const inputs = Object.entries(entry.offer.inputs).map(([name, { digest }]) => [name, digest]);
    await this.#executor.conclude(entry, {
      ...failure,
      inputs: Object.fromEntries(inputs) as Failure['inputs'] & object,
      machine: this.#parts.machine(),
    });
    await this.#parts.files.release(entry.claim);
    await this.#parts.journal.remove(entry.claim);
  }
}

/** By their names, which say who spawned whom (`parseSpawn`): good enough for what is only a matter of room. */
function kinOf({ offer }: JournalEntry, all: readonly JournalEntry[]): readonly JournalEntry[] {
  const below = (task: string): string => `${task.replace(':', '--')}--`;
  return all.filter(
    ({ offer: { run, task } }) =>
      run === offer.run &&
      (offer.task.startsWith(below(task)) || task.startsWith(below(offer.task))),
  );
}

/** A container that is still ours and was not adopted: the peer was started again with less to offer. */
const NO_ROOM: Pick<Failure, 'kind' | 'message'> = {
  kind: 'drained',
  message: 'this peer was started again and has no room any more for what it was running',
};

/** An attempt of ours without a container ended with the daemon, or the machine, that made it. */
function whatBecameOf({ started }: JournalEntry): Pick<Failure, 'kind' | 'message'> {
  if (started === undefined) {
    const message =
      'this peer was killed, or had no answer from the mesh, before the container was started';
    return { kind: 'start-failed', message };
  }
  const message = started.isOfThisBoot
    ? 'this peer was killed while the container ran, and the container was gone when it came back'
    : 'the machine was restarted while the container ran';
  return { kind: 'peer-lost', message };
}
