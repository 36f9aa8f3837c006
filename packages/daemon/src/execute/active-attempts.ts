import type {
  ArtifactId,
  ClaimId,
  ClaimTicket,
  LeaseKeeper,
  Offer,
  RunId,
  RunLog,
  RunningContainer,
} from '@podmesh/core';
import { CANCELLED, DRAINED, LEASE_LOST, type StopOrder, wrongInput } from './stop-order.ts';

/** An attempt whose container runs at this moment. */
export interface RunningAttempt {
  readonly claim: ClaimId;
  readonly offer: Offer;
  readonly container: RunningContainer;
}

interface ActiveAttempt {
  readonly offer: Offer;
  readonly stop: AbortController;
}

/** The claims at work here right now, each kept alive, and what can be done to them from outside. */
export class ActiveAttempts {
  readonly #leases: LeaseKeeper;
  readonly #active = new Map<ClaimId, ActiveAttempt>();
  /** In the order in which their containers were started. */
  readonly #running = new Map<ClaimId, RunningContainer>();
  readonly #cpuMs = new Map<ClaimId, number>();
  #draining = false;

  constructor(leases: LeaseKeeper) {
    this.#leases = leases;
  }

  get draining(): boolean {
    return this.#draining;
  }

  has(claim: ClaimId): boolean {
    return this.#active.has(claim);
  }

  claims(): readonly ClaimId[] {
    return [...this.#active.keys()];
  }

  runs(): ReadonlySet<RunId> {
    return new Set([...this.#active.values()].map(({ offer }) => offer.run));
  }

  /** Whose container was started first stands first. */
  running(): readonly RunningAttempt[] {
    return [...this.#running].flatMap(([claim, container]) => {
      const attempt = this.#active.get(claim);
      return attempt === undefined ? [] : [{ claim, offer: attempt.offer, container }];
    });
  }

  noteRunning(claim: ClaimId, container: RunningContainer): void {
    this.#running.set(claim, container);
  }

  noteCpu(claim: ClaimId, cpuMs: number): void {
    if (this.#active.has(claim)) this.#cpuMs.set(claim, cpuMs);
  }

  /** Until the outcome is in the log: that charges it for good. */
  spending(): Readonly<Record<ClaimId, number>> {
    return Object.fromEntries(this.#cpuMs);
  }

  noteEnded(claim: ClaimId): void {
    this.#running.delete(claim);
  }

  /** Keeps the claim alive while `work` goes on, and stops the work when it is lost. */
  async keep(
    { claim, offer, ticket }: { claim: ClaimId; offer: Offer; ticket: ClaimTicket },
    work: (stop: AbortSignal) => Promise<void>,
  ): Promise<void> {
    const stop = new AbortController();
    const lease = this.#leases.keep(ticket, () => stop.abort(LEASE_LOST));
    const done = work(stop.signal).finally(() => {
      lease.release();
      this.#running.delete(claim);
      this.#cpuMs.delete(claim);
      this.#active.delete(claim);
    });
    this.#active.set(claim, { offer, stop });
    if (this.#draining) stop.abort(DRAINED);
    await done;
  }

  /** Harmless for a claim that is not, or not any more, at work here. */
  end(claim: ClaimId, order: StopOrder): void {
    this.#active.get(claim)?.stop.abort(order);
  }

  endRun(run: RunId, order: StopOrder): void {
    for (const { offer, stop } of this.#active.values()) if (offer.run === run) stop.abort(order);
  }

  /** Ends those that have any of these among their inputs; which they are. */
  endReadersOf(inputs: ReadonlySet<ArtifactId>): readonly Offer[] {
    return [...this.#active.values()].flatMap(({ offer, stop }) => {
      const read = Object.values(offer.inputs).map(({ digest }) => digest);
      if (offer.image.kind === 'archive') read.push(offer.image.archive);
      const wrong = read.filter((digest) => inputs.has(digest));
      if (wrong.length === 0) return [];
      stop.abort(wrongInput(wrong));
      return [offer];
    });
  }

  /** Ends those whose end is in the log. */
  async endSettled(log: Pick<RunLog, 'lastOfTask'>): Promise<void> {
    for (const [claim, { offer }] of [...this.#active]) {
      const last = await log.lastOfTask(offer.run, offer.task);
      if (last === undefined || !('claim' in last.event)) continue;
      const { event } = last;
      if (event.kind === 'attempt-failed' && event.claim === claim) this.end(claim, CANCELLED);
      // A machine that slept does not know that its claim was given to another one meanwhile.
      const isLost = event.kind === 'attempt-lost' && event.claim === claim;
      if (isLost || event.attempt > offer.attempt) this.end(claim, LEASE_LOST);
    }
  }

  /** Ends everything that is at work now. */
  endAll(order: StopOrder): void {
    for (const { stop } of this.#active.values()) stop.abort(order);
  }

  /** Ends everything that is at work, and at once whatever comes. */
  drain(): void {
    this.#draining = true;
    this.endAll(DRAINED);
  }
}
