import {
  type ArtifactStore,
  type AttemptStarted,
  type Claimed,
  type ClaimId,
  type Clock,
  type ContainerLabels,
  claimId,
  type Failure,
  isSettledByPeer,
  type LeaseKeeper,
  type LiveLog,
  type LogSink,
  type Offer,
  type OfferQueue,
  type PeerDirectory,
  type PullProgress,
  pullLine,
  type ResultCache,
  type RunId,
  type RunLog,
  type RunningContainer,
  type Sequence,
  type SessionId,
  type Sha256,
} from '@podmesh/core';
import type { Logger } from 'pino';
import type { Reservation } from '../claim/capacity-ledger.ts';
import { ActiveAttempts, type RunningAttempt } from './active-attempts.ts';
import type { AttemptJournal, JournalEntry, OpenAttempt } from './attempt-journal.ts';
import type { AttemptInHand, AttemptStep } from './attempt-step.ts';
import { CachedResults } from './cached-results.ts';
import { ContainerRun } from './container-run.ts';
import type { ContainerRunParts, ContainerWitness, Ending } from './container-run-parts.ts';
import { OthersFirst } from './others-first.ts';
import { Outcomes } from './outcomes.ts';
import { RefusedOffers } from './refused-offers.ts';
import { RunsOver } from './runs-over.ts';
import { CANCELLED, LEASE_LOST, type StopOrder } from './stop-order.ts';
import type { LogSpool } from './task-files.ts';

export interface ExecutorParts extends ContainerRunParts {
  readonly log: RunLog;
  readonly offers: OfferQueue;
  readonly leases: LeaseKeeper;
  readonly peers: PeerDirectory;
  readonly results: ResultCache;
  readonly artifacts: ArtifactStore;
  readonly liveLog: LiveLog;
  readonly journal: AttemptJournal;
  readonly session: SessionId;
  readonly clock: Clock;
  readonly sha256: Sha256;
  /** Random text for claim ids. */
  readonly randomId: () => string;
  readonly logger: Logger;
  /** See {@link RefusedOffers}. */
  readonly isDirectoryWhole?: () => boolean;
  /** Whether anything may begin at present; absent: always. */
  readonly isOpen?: () => boolean;
  /** Told how each attempt of this peer ended, published or not. */
  readonly onEnding?: (attempt: JournalEntry, ending: Ending) => void;
}

/** What came when nothing may begin any more is somebody else's after this. */
const GIVE_BACK_MS = 50;

/** Why the journal has no entry of an attempt. */
interface JournalTrouble {
  readonly error: unknown;
}

/** With what an attempt begins. */
interface Beginning {
  /** The image id, where it is known already. */
  readonly image: string | undefined;
  readonly stop: AbortSignal;
  readonly trouble: JournalTrouble | undefined;
  readonly reservation: Reservation;
}

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
    const { offer, claim } = entry;
    const open = await this.#openInLog(entry);
    if (open === undefined) return false;
    const attempt = this.#active.keep(entry, async (stop) => {
      const { files } = this.#parts;
      const isReplayed = container.replays === 'all';
      const spool = isReplayed ? files.openLog(claim) : await files.reopenLog(claim);
      const witness = this.#witness(entry, true);
      const ranMs = entry.started?.ranMs ?? 0;
      const { startedSequence } = open;
      const own = { reservation, startedSequence };
      const attempt = { offer, claim, spool, stop, witness, ranMs, ...own };
      const containerRun = new ContainerRun(this.#runParts(offer), attempt);
      const image = entry.started?.image ?? entry.image;
      await this.#publish(
        open,
        await containerRun.adopt(container, image, this.#logSink(offer, spool)),
        containerRun,
      );
    });
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
  async endSettled(): Promise<void> {
    for (const { claim, offer } of this.#active.all()) {
      const last = await this.#parts.log.lastOfTask(offer.run, offer.task);
      if (last === undefined || !('claim' in last.event)) continue;
      const { event } = last;
      if (event.kind === 'attempt-failed' && event.claim === claim)
        this.#active.end(claim, CANCELLED);
      // A machine that slept does not know that its claim was given to another one meanwhile.
      const isLost = event.kind === 'attempt-lost' && event.claim === claim;
      if (isLost || event.attempt > offer.attempt) this.#active.end(claim, LEASE_LOST);
    }
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
      await this.#run({ ...entry, startedSequence }, { image, stop, trouble, reservation });
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

  async #run(entry: OpenAttempt, beginning: Beginning): Promise<void> {
    const { image, stop, trouble, reservation } = beginning;
    const { files, peer } = this.#parts;
    const { offer, claim, startedSequence } = entry;
    const { run, task, attempt } = offer;
    const spool = files.openLog(claim);
    const witness = this.#witness(entry);
    const onPull = this.#pullTeller(offer);
    const own = { reservation, startedSequence };
    const made = { offer, claim, spool, stop, witness, onPull, ...own };
    const containerRun = new ContainerRun(this.#runParts(offer), made);
    const labels: ContainerLabels = { run, task, attempt, peer, claim };
    const ending = await (trouble === undefined
      ? containerRun.execute(image, labels, this.#logSink(offer, spool))
      : containerRun.fail(trouble.error));
    await this.#publish(entry, ending, containerRun);
  }

  /** Of most offers the cache was asked before the attempt began. */
  #runParts(offer: Offer): ContainerRunParts {
    if (!offer.cache || !isSettledByPeer(offer)) return this.#parts;
    return { ...this.#parts, known: this.#results };
  }

  /** A restarted daemon that finds no container has to know whether there ever was one. */
  #witness(attempt: AttemptInHand, isAdopted = false): ContainerWitness {
    const { claim } = attempt;
    return {
      started: async (container, image) => {
        this.#active.noteRunning(claim, container);
        // The time of the first note counts against the task's time limit.
        if (isAdopted) return;
        // Without the note only the name of a failure would differ: no reason to end a task.
        await this.#parts.journal.noteStarted(claim, image).catch(() => undefined);
        this.#step('start-noted', attempt);
      },
      used: (cpuMs) => this.#active.noteCpu(claim, cpuMs),
      ended: () => this.#active.noteEnded(claim),
    };
  }

  #logSink({ run, task, attempt }: Offer, spool: LogSpool): LogSink {
    return (stream, bytes) => {
      spool.write(stream, bytes);
      this.#parts.liveLog.write({ run, task, attempt, bytes });
    };
  }

  /** Not into the spool: the stored log is what the task wrote, and equal tasks have equal logs. */
  #pullTeller({ run, task, attempt }: Offer): PullProgress {
    return (line) => {
      this.#parts.logger.debug({ run, task, attempt }, line);
      this.#parts.liveLog.write({ run, task, attempt, bytes: Buffer.from(pullLine(line)) });
    };
  }

  /** Publishes the outcome, and cleans up whatever comes of that. */
  async #publish(entry: OpenAttempt, ending: Ending, containerRun: ContainerRun): Promise<void> {
    try {
      this.#parts.onEnding?.(entry, ending);
      await this.#outcomes.publish(entry, ending);
    } finally {
      await this.#cleanUp(entry, containerRun);
    }
  }

  /** The outcome is in the log or void; what is left on the machine must not stay, nor stop us. */
  async #cleanUp(entry: JournalEntry, containerRun: ContainerRun): Promise<void> {
    const { claim, offer } = entry;
    try {
      await containerRun.cleanUp();
      this.#step('container-removed', entry);
      await this.#parts.files.release(claim);
      await this.#parts.journal.remove(claim);
      this.#step('journal-removed', entry);
    } catch (error) {
      const about = { run: offer.run, task: offer.task, attempt: offer.attempt, err: error };
      this.#parts.logger.warn(about, 'left a container behind; will remove it');
    }
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
