import {
  type ArtifactId,
  type AttemptStarted,
  type Claimed,
  type ClaimId,
  claimId,
  type Failure,
  type Offer,
  type RunId,
  type RunningContainer,
  type Sequence,
} from '@podmesh/core';
import type { Reservation } from '../claim/capacity-ledger.ts';
import { ActiveAttempts, type RunningAttempt } from './active-attempts.ts';
import type { JournalEntry, OpenAttempt } from './attempt-journal.ts';
import { AttemptRunner, type JournalTrouble } from './attempt-runner.ts';
import type { AttemptInHand, AttemptStep } from './attempt-step.ts';
import { CachedResults } from './cached-results.ts';
import type { ExecutorParts } from './executor-parts.ts';
import { OthersFirst } from './others-first.ts';
import { Outcomes } from './outcomes.ts';
import { RefusedOffers } from './refused-offers.ts';
import { RunsOver } from './runs-over.ts';
import { CANCELLED, type StopOrder } from './stop-order.ts';

/** What came when nothing may begin any more is somebody else's after this. */
const GIVE_BACK_MS = 50;

/**
 * Makes attempts: from an offer in hand to its outcome in the log. Record first, acknowledge last:
 * a crash at any point leads to redelivery, and the log tells the next one what is true.
 */
export class Executor {
  readonly #parts: ExecutorParts;
  readonly #runsOver: RunsOver;
  readonly #refused: RefusedOffers;
  readonly #results: CachedResults;
  readonly #outcomes: Outcomes;
  readonly #runner: AttemptRunner;
  readonly #active: ActiveAttempts;
  readonly #othersFirst: OthersFirst;
  readonly #pending = new Set<Promise<void>>();

  constructor(parts: ExecutorParts) {
    this.#parts = parts;
    this.#active = new ActiveAttempts(parts.leases);
    this.#othersFirst = new OthersFirst(parts);
    this.#runsOver = new RunsOver(parts.log, parts.clock);
    this.#results = new CachedResults(parts);
    this.#outcomes = new Outcomes(parts, this.#results);
    const [active, results, outcomes] = [this.#active, this.#results, this.#outcomes];
    this.#runner = new AttemptRunner({ parts, active, results, outcomes });
    this.#refused = new RefusedOffers(parts, (claim) => this.holds(claim));
  }

  /** Whether that claim is at work here right now. */
  holds(claim: ClaimId): boolean {
    return this.#active.has(claim);
  }

  /** What is at work here right now. */
  claims(): readonly ClaimId[] {
    return this.#active.claims();
  }

  /** CPU time of those at work that share a budget; empty: of none. */
  spending(): Readonly<Record<ClaimId, number>> {
    return this.#active.spending();
  }

  /** Runs with an open attempt here. */
  activeRuns(): ReadonlySet<RunId> {
    return this.#active.runs();
  }

  /** Attempts whose containers run right now; the one that was started first stands first. */
  running(): readonly RunningAttempt[] {
    return this.#active.running();
  }

  /** Takes a claimed offer to its end; never throws. */
  take(claimed: Claimed<Offer>, reservation: Reservation): void {
    this.#follow(this.#handle(claimed, reservation), claimed.value, reservation);
  }

  /** Goes on with a container of an earlier session whose attempt is still ours; false when it is not. */
  async adopt(
    entry: JournalEntry,
    container: RunningContainer,
    reservation: Reservation,
  ): Promise<boolean> {
    const { offer } = entry;
    const open = await this.#openInLog(entry);
    if (open === undefined) return false;
    const attempt = this.#active.keep(entry, (stop) =>
      this.#runner.adopt(open, container, { stop, reservation }),
    );
    this.#follow(attempt, offer, reservation);
    return true;
  }

  /**
   * Ends in the log an attempt of an earlier session that came to nothing; false when it is not ours any
   * more. Never one that is at work here.
   */
  async conclude(entry: JournalEntry, failure: Failure): Promise<boolean> {
    const open = await this.#openInLog(entry);
    if (open === undefined || this.holds(entry.claim)) return false;
    return this.#outcomes.publish(open, { kind: 'failed', failure });
  }

  /** Undefined: the attempt was never begun, or has passed on to somebody else. */
  async #openInLog(entry: JournalEntry): Promise<OpenAttempt | undefined> {
    const { run, task } = entry.offer;
    const last = await this.#parts.log.lastOfTask(run, task);
    // A claim's id is made for one attempt, so that its fact cannot be mistaken.
    if (last?.event.kind !== 'attempt-started' || last.event.claim !== entry.claim)
      return undefined;
    return { ...entry, startedSequence: last.sequence };
  }

  /** Ends one attempt; harmless when it has ended. */
  end(claim: ClaimId, order: StopOrder): void {
    this.#active.end(claim, order);
  }

  /** Ends the attempts of a run that was cancelled. */
  cancel(run: RunId): void {
    this.#runsOver.note(run);
    this.#active.endRun(run, CANCELLED);
  }

  /** Ends attempts whose end is in the log although they are at work here: somebody told them to stop. */
  endSettled(): Promise<void> {
    return this.#active.endSettled(this.#parts.log);
  }

  /** As {@link ActiveAttempts.endReadersOf}. */
  endReadersOf(inputs: ReadonlySet<ArtifactId>): readonly Offer[] {
    return this.#active.endReadersOf(inputs);
  }

  /** Ends all that is at work now; what comes later is another matter. */
  endAll(order: StopOrder): void {
    this.#active.endAll(order);
  }

  /** Resolves when nothing is in hand, were it for a moment. */
  async idle(): Promise<void> {
    while (this.#pending.size > 0) await Promise.all(this.#pending);
  }

  /** Ends all attempts as `drained` and waits until each is settled. */
  async drain(): Promise<void> {
    this.#active.drain();
    await Promise.all(this.#pending);
  }

  /** Work that nobody waits for but `drain`; its failure is met here, and redelivery does the rest. */
  #follow(made: Promise<void>, { run, task, attempt }: Offer, reservation: Reservation): void {
    const work = made
      .catch((error: unknown) => {
        this.#parts.logger.error({ run, task, attempt, err: error }, 'could not settle an offer');
      })
      .finally(() => {
        reservation.release();
        this.#pending.delete(work);
      });
    this.#pending.add(work);
  }

  async #handle(claimed: Claimed<Offer>, reservation: Reservation): Promise<void> {
    const offer = claimed.value;
    if (this.#active.draining) return claimed.giveBack(0);
    if (!this.#isOpen()) return claimed.giveBack(GIVE_BACK_MS);
    const restMs = await this.#othersFirst.restMs(offer);
    if (restMs > 0) return claimed.giveBack(restMs);
    if (await this.#runsOver.has(offer.run)) return claimed.ack();
    // It may have closed while others were asked; what begins after this is in hand, and can be ended.
    if (!this.#isOpen()) return claimed.giveBack(GIVE_BACK_MS);
    const claim = claimId(this.#parts.randomId());
    const { ticket } = claimed;
    await this.#active.keep({ claim, offer, ticket }, async (stop) => {
      this.#step('offer-claimed', { claim, offer });
      const image = await this.#results.knownImage(offer, stop);
      const meant = image ?? this.#results.pinnedImage(offer);
      if (meant !== undefined && (await this.#takeFromCache(claimed, meant))) return;
      const started: AttemptStarted = {
        kind: 'attempt-started',
        run: offer.run,
        task: offer.task,
        attempt: offer.attempt,
        peer: this.#parts.peer,
        session: this.#parts.session,
        claim,
        offerSequence: claimed.sequence,
      };
      const named = image === undefined ? {} : { image };
      const entry: JournalEntry = { claim, offer, ticket, ...named };
      const trouble = await this.#write(entry);
      const startedSequence = await this.#begin(entry, started);
      if (startedSequence === undefined) return this.#refused.settle(claimed);
      this.#step('attempt-started', entry);
      this.#parts.logger.debug(
        { run: offer.run, task: offer.task, attempt: offer.attempt, claim },
        'began an attempt',
      );
      await this.#runner.run({ ...entry, startedSequence }, { image, stop, trouble, reservation });
    });
  }

  /** Undefined when it is written; a disk that takes no entry is a failure of the attempt, which has to begin first. */
  async #write(entry: JournalEntry): Promise<JournalTrouble | undefined> {
    try {
      await this.#parts.journal.write(entry);
    } catch (error) {
      return { error };
    }
    this.#step('journal-written', entry);
    return undefined;
  }

  /**
   * The sequence of the fact that it has begun; undefined when it was refused, and then no entry stays. Throws
   * when nobody answered: it may be a fact all the same, and the entry is kept for whoever asks the log next.
   */
  async #begin(
    { claim, offer }: JournalEntry,
    started: AttemptStarted,
  ): Promise<Sequence | undefined> {
    const appended = await this.#parts.log.append(started, offer.sequence);
    if (appended.ok) return appended.value;
    // One that cannot be removed now is looked at, and dropped, when leftovers are reconciled.
    await this.#parts.journal.remove(claim).catch(() => undefined);
    return undefined;
  }

  /** Where the driver could not know the image, the cache is asked here, before anything starts. */
  async #takeFromCache(claimed: Claimed<Offer>, image: string): Promise<boolean> {
    const offer = claimed.value;
    const found = await this.#results.findBefore(offer, image);
    if (found === undefined) return false;
    const { run, task } = offer;
    await this.#parts.log.append({ kind: 'task-cached', run, task, ...found }, offer.sequence);
    await claimed.ack();
    return true;
  }

  #isOpen(): boolean {
    return this.#parts.isOpen?.() ?? true;
  }

  #step(step: AttemptStep, attempt: AttemptInHand): void {
    this.#parts.onStep?.(step, attempt);
  }
}
