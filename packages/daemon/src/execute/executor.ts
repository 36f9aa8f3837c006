import {
  type ArtifactStore,
  type AttemptStarted,
  type Claimed,
  type ClaimId,
  type Clock,
  type ContainerLabels,
  claimId,
  digestAction,
  isLeftToOthers,
  type LeaseKeeper,
  type LiveLog,
  type LogSink,
  type Offer,
  type OfferQueue,
  type PeerDirectory,
  type ResultCache,
  type RunId,
  type RunLog,
  type RunningContainer,
  type SessionId,
  type Sha256,
  type TaskEvent,
} from '@podmesh/core';
import type { Logger } from 'pino';
import type { Reservation } from '../claim/capacity-ledger.ts';
import { KnownResults } from '../store/known-results.ts';
import type { AttemptJournal, JournalEntry } from './attempt-journal.ts';
import { ContainerRun, type ContainerRunParts, type Ending } from './container-run.ts';
import type { StopReason } from './outcome.ts';
import { RefusedOffers } from './refused-offers.ts';
import { resolveNamedImage } from './resolve-named-image.ts';
import { RunsOver } from './runs-over.ts';
import type { LogSpool } from './task-files.ts';

/** A peer on which an earlier attempt failed lets others go first for this long. */
const AVOID_DELAY_MS = 2_000;

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
}

interface ActiveAttempt {
  readonly run: RunId;
  readonly stop: AbortController;
}

/**
 * Makes attempts: from an offer in hand to its outcome in the log. Record first, acknowledge last:
 * a crash at any point leads to redelivery, and the log tells the next one what is true.
 */
export class Executor {
  readonly #parts: ExecutorParts;
  readonly #runsOver: RunsOver;
  readonly #refused: RefusedOffers;
  readonly #results: KnownResults;
  readonly #active = new Map<ClaimId, ActiveAttempt>();
  readonly #pending = new Set<Promise<void>>();
  #draining = false;

  constructor(parts: ExecutorParts) {
    this.#parts = parts;
    this.#runsOver = new RunsOver(parts.log, parts.clock);
    this.#results = new KnownResults(parts);
    this.#refused = new RefusedOffers(parts, (claim) => this.holds(claim));
  }

  /** Whether that claim is at work here right now. */
  holds(claim: ClaimId): boolean {
    return this.#active.has(claim);
  }

  /** What is at work here right now. */
  claims(): readonly ClaimId[] {
    return [...this.#active.keys()];
  }

  /** Runs with an open attempt here. */
  activeRuns(): ReadonlySet<RunId> {
    return new Set([...this.#active.values()].map((attempt) => attempt.run));
  }

  /** Takes a claimed offer to its end; never throws. */
  take(claimed: Claimed<Offer>, reservation: Reservation): void {
    this.#follow(this.#handle(claimed), claimed.value, reservation);
  }

  /** Goes on with a container of an earlier session whose attempt is still ours; false when it is not. */
  async adopt(
    entry: JournalEntry,
    container: RunningContainer,
    reservation: Reservation,
  ): Promise<boolean> {
    const { offer, claim } = entry;
    const last = await this.#parts.log.lastOfTask(offer.run, offer.task);
    if (last?.sequence !== entry.startedSequence) return false;
    const attempt = this.#attempt({ claim, run: offer.run, ticket: entry.ticket }, async (stop) => {
      const spool = this.#parts.files.openLog();
      container.replayLog(this.#logSink(offer, spool));
      const containerRun = new ContainerRun(this.#parts, offer, spool, stop);
      await this.#publish(entry, await containerRun.adopt(container, entry.image), containerRun);
    });
    this.#follow(attempt, offer, reservation);
    return true;
  }

  /** Ends the attempts of a run that was cancelled. */
  cancel(run: RunId): void {
    this.#runsOver.note(run);
    for (const attempt of this.#active.values()) {
      if (attempt.run === run) attempt.stop.abort('cancelled' satisfies StopReason);
    }
  }

  /** Ends all attempts as `drained` and waits until each is settled. */
  async drain(): Promise<void> {
    this.#draining = true;
    for (const attempt of this.#active.values()) attempt.stop.abort('drained' satisfies StopReason);
    await Promise.all(this.#pending);
  }

  /** Work that nobody waits for but `drain`; its failure is met here, and redelivery does the rest. */
  #follow(attempt: Promise<void>, { run, task }: Offer, reservation: Reservation): void {
    const work = attempt
      .catch((error: unknown) => {
        this.#parts.logger.error({ run, task, err: error }, 'could not settle an offer');
      })
      .finally(() => {
        reservation.release();
        this.#pending.delete(work);
      });
    this.#pending.add(work);
  }

  async #handle(claimed: Claimed<Offer>): Promise<void> {
    const offer = claimed.value;
    if (this.#draining) return claimed.giveBack(0);
    if (await this.#letsOthersGoFirst(claimed)) return claimed.giveBack(AVOID_DELAY_MS);
    if (await this.#runsOver.has(offer.run)) return claimed.ack();
    const claim = claimId(this.#parts.randomId());
    await this.#attempt({ claim, run: offer.run, ticket: claimed.ticket }, async (stop) => {
      const image = await this.#knownImage(offer, stop);
      if (image !== undefined && (await this.#takeFromCache(claimed, image))) return;
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
      const appended = await this.#parts.log.append(started, offer.sequence);
      if (!appended.ok) return this.#refused.settle(claimed);
      const { ticket } = claimed;
      const named = image === undefined ? {} : { image };
      const entry = { claim, offer, startedSequence: appended.value, ticket, ...named };
      await this.#run(entry, image, stop);
    });
  }

  async #run(entry: JournalEntry, image: string | undefined, stop: AbortSignal): Promise<void> {
    const { files, journal, peer } = this.#parts;
    const { offer, claim } = entry;
    const { run, task, attempt } = offer;
    const spool = files.openLog();
    const containerRun = new ContainerRun(this.#parts, offer, spool, stop);
    const labels: ContainerLabels = { run, task, attempt, peer, claim };
    const ending = await journal.write(entry).then(
      () => containerRun.execute(image, labels, this.#logSink(offer, spool)),
      (error: unknown) => containerRun.fail(error),
    );
    await this.#publish(entry, ending, containerRun);
  }

  #logSink({ run, task, attempt }: Offer, spool: LogSpool): LogSink {
    return (stream, bytes) => {
      spool.write(stream, bytes);
      this.#parts.liveLog.write({ run, task, attempt, bytes });
    };
  }

  /** Appends the outcome behind our own start, then acknowledges, and cleans up whatever happens. */
  async #publish(entry: JournalEntry, ending: Ending, containerRun: ContainerRun): Promise<void> {
    const { run, task, attempt } = entry.offer;
    try {
      const event = await this.#outcomeOf(entry, ending);
      const appended = await this.#parts.log.append(event, entry.startedSequence);
      if (appended.ok) await this.#settle(entry);
      else this.#parts.logger.warn({ run, task, attempt }, 'came too late: the attempt was lost');
    } finally {
      await this.#cleanUp(entry, containerRun);
    }
  }

  /** Not settled: the offer comes again, to us or another, and is seen to be history. */
  async #settle({ ticket, offer }: JournalEntry): Promise<void> {
    try {
      await this.#parts.offers.settle(ticket);
    } catch (error) {
      const { run, task } = offer;
      this.#parts.logger.debug({ run, task, err: error }, 'could not acknowledge a settled offer');
    }
  }

  /**
   * The event that tells the ending. A result goes into the cache before it is published: whoever
   * sees the end of a run and publishes the same graph again must find all of it there.
   */
  async #outcomeOf({ offer, claim }: JournalEntry, ending: Ending): Promise<TaskEvent> {
    const { run, task, attempt } = offer;
    if (ending.kind === 'failed') {
      const { failure } = ending;
      this.#parts.logger.info({ run, task, attempt, failure: failure.kind }, failure.message);
      return { kind: 'attempt-failed', run, task, attempt, claim, failure };
    }
    const { result } = ending;
    const action = this.#actionOf(offer, result.image);
    if (offer.cache) await this.#results.record(action, result);
    return { kind: 'attempt-succeeded', run, task, attempt, claim, action, result };
  }

  /** The outcome is in the log or void; what is left on the machine must not stay, nor stop us. */
  async #cleanUp(entry: JournalEntry, containerRun: ContainerRun): Promise<void> {
    const { claim, offer } = entry;
    try {
      await containerRun.cleanUp();
      await this.#parts.files.removeScratch(claim);
      await this.#parts.journal.remove(claim);
    } catch (error) {
      const { run, task } = offer;
      this.#parts.logger.warn({ run, task, err: error }, 'left a container behind; will remove it');
    }
  }

  /** Keeps the claim alive while `work` goes on, and stops the work when it is lost. */
  async #attempt(
    claim: { claim: ClaimId; run: RunId; ticket: string },
    work: (stop: AbortSignal) => Promise<void>,
  ): Promise<void> {
    const stop = new AbortController();
    const lease = this.#parts.leases.keep(claim.ticket, () =>
      stop.abort('lease-lost' satisfies StopReason),
    );
    const done = work(stop.signal).finally(() => {
      lease.release();
      this.#active.delete(claim.claim);
    });
    this.#active.set(claim.claim, { run: claim.run, stop });
    if (this.#draining) stop.abort('drained' satisfies StopReason);
    await done;
  }

  /** The image id, resolved before the attempt starts where that costs nothing; undefined: find out later. */
  async #knownImage(offer: Offer, stop: AbortSignal): Promise<string | undefined> {
    const { image } = offer;
    if (image.kind !== 'reference') return undefined;
    try {
      return await resolveNamedImage(this.#parts.runtime, image, stop);
    } catch {
      // The attempt itself meets the same problem, and has a place to report it.
      return undefined;
    }
  }

  /** Where the driver could not know the image, the cache is asked here, before anything starts. */
  async #takeFromCache(claimed: Claimed<Offer>, image: string): Promise<boolean> {
    const offer = claimed.value;
    if (!offer.cache || offer.image.kind !== 'reference') return false;
    const action = this.#actionOf(offer, image);
    const result = (await this.#results.find([action])).get(action);
    if (result === undefined) return false;
    const { run, task } = offer;
    await this.#parts.log.append(
      { kind: 'task-cached', run, task, action, result },
      offer.sequence,
    );
    await claimed.ack();
    return true;
  }

  #actionOf(offer: Offer, image: string) {
    return digestAction(offer, image, `linux/${this.#parts.machine().arch}`, this.#parts.sha256);
  }

  async #letsOthersGoFirst({ value }: Claimed<Offer>): Promise<boolean> {
    const { peer, peers } = this.#parts;
    if (!value.avoid.includes(peer)) return false;
    // Not known: then nobody else is either.
    return isLeftToOthers(value, peer, await peers.list().catch(() => []));
  }
}
