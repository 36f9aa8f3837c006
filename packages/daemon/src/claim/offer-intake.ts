import type {
  Claimed,
  Clock,
  LaneDirectory,
  LaneId,
  Offer,
  OfferQueue,
  Requirements,
} from '@podmesh/core';
import type { Logger } from 'pino';
import type { WakeUp } from '../wake-up.ts';
import type { CapacityLedger, Reservation } from './capacity-ledger.ts';

/** Offers asked for in one request; more wait for the next one. */
const PULL_OFFERS_MAX = 64;
/** How long one request waits in the queue; short enough to outlive a dead server soon (NATS.md §3.3). */
const PULL_WAIT_MS = 5_000;
/** Lanes are listed again this often, should a change have gone unnoticed. */
const RELIST_MS = 15_000;
/** An offer that does not fit any more rests this long before somebody else gets it. */
const GIVE_BACK_MS = 50;
/** An offer that is left to others rests this long at least… */
const LEFT_MS_MIN = 500;
/**
 * …and comes again this long after the one that was left before it. What comes again comes before all
 * that stands behind it in its lane (NATS.md §3.1): it has to come slower than it can be looked at.
 */
const LEFT_APART_MS = 25;
/** …but after this long at most: enough for all that one run may offer. */
const LEFT_MS_MAX = 60_000;
/** Room that is made within this time is filled by one request. */
const GATHER_MS = 2;
/** Rest after a failed request. */
const RETRY_MS = 1_000;

export interface IntakeParts {
  readonly lanes: LaneDirectory;
  readonly offers: OfferQueue;
  readonly ledger: CapacityLedger;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Whether this machine could ever run such tasks. */
  readonly suits: (requirements: Requirements) => boolean;
  /** Whether this peer claims at all at present. */
  readonly isOpen: () => boolean;
  /** Whether this peer leaves such an offer to others at present. */
  readonly leaves: (offer: Offer) => boolean;
  /** Takes the claim over, with its share of the machine; must not throw. */
  readonly take: (claimed: Claimed<Offer>, reservation: Reservation) => void;
}

interface LaneLoop {
  readonly requirements: Requirements;
  /** Offers asked for and not yet received. */
  requested: number;
  /** What came last was left to others: they are to find more of what comes again than this peer. */
  isLeaving: boolean;
}

/**
 * Pulls from every lane whose requirements this peer satisfies *now*, and no more than it can hold
 * (DESIGN §6). Ring `changed` when capacity, or the will to claim, has changed.
 */
export class OfferIntake {
  readonly changed: WakeUp;
  readonly #parts: IntakeParts;
  readonly #loops = new Map<LaneId, LaneLoop>();
  /** When the last of the offers that were left to others comes again. */
  #lastReturnMs = 0;
  readonly #stop = new AbortController();
  readonly #tasks = new Set<Promise<void>>();

  constructor(parts: IntakeParts, changed: WakeUp) {
    this.#parts = parts;
    this.changed = changed;
  }

  /** Lanes that suit this machine; `waiting`: for an offer, with a request for one. */
  get lanes(): { readonly waiting: number; readonly idle: number } {
    const waiting = [...this.#loops.values()].filter(({ requested }) => requested > 0).length;
    return { waiting, idle: this.#loops.size - waiting };
  }

  start(): void {
    this.#track(this.#watchLanes());
    this.#track(this.#relist());
    this.#track(this.#fill());
  }

  /** Asks for nothing more; resolves when no request is under way. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await Promise.all(this.#tasks);
  }

  /** Every wake-up: asks each lane for what fits beyond what was asked for already. */
  async #fill(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      if (this.#parts.isOpen()) {
        for (const [lane, loop] of this.#loops) this.#ask(lane, loop);
      }
      await this.changed.next(signal);
      // Tasks end in bursts: one request for all the room they made, not one for each.
      await this.#parts.clock.sleep(GATHER_MS, signal);
    }
  }

  #ask(lane: LaneId, loop: LaneLoop): void {
    const most = loop.isLeaving ? 1 : PULL_OFFERS_MAX;
    const room = Math.min(this.#parts.ledger.room(loop.requirements), most);
    const limit = room - loop.requested;
    if (limit <= 0) return;
    loop.requested += limit;
    this.#track(this.#pull(lane, loop, limit));
  }

  async #pull(lane: LaneId, loop: LaneLoop, limit: number): Promise<void> {
    const { signal } = this.#stop;
    let open = limit;
    try {
      for await (const claimed of this.#parts.offers.pull(lane, limit, PULL_WAIT_MS, signal)) {
        open -= 1;
        loop.requested -= 1;
        await this.#receive(claimed, loop);
      }
    } catch (error) {
      this.#parts.logger.warn({ lane, err: error }, 'could not pull offers; trying again');
      await this.#parts.clock.sleep(RETRY_MS, signal);
    } finally {
      loop.requested -= open;
      this.changed.ring();
    }
  }

  async #receive(claimed: Claimed<Offer>, loop: LaneLoop): Promise<void> {
    const { ledger, isOpen, leaves, take } = this.#parts;
    const open = isOpen() && !this.#stop.signal.aborted;
    const reservation = open ? ledger.reserve(claimed.value.requirements) : undefined;
    if (reservation === undefined) return claimed.giveBack(GIVE_BACK_MS);
    loop.isLeaving = leaves(claimed.value);
    if (!loop.isLeaving) return take(claimed, reservation);
    // Its room is for what stands behind it: that is asked for at once.
    reservation.release();
    await claimed.giveBack(this.#restMs());
  }

  /** How long an offer rests that is left to others. */
  #restMs(): number {
    const nowMs = this.#parts.clock.nowMs();
    const nextMs = Math.min(this.#lastReturnMs + LEFT_APART_MS, nowMs + LEFT_MS_MAX);
    this.#lastReturnMs = Math.max(nextMs, nowMs + LEFT_MS_MIN);
    return this.#lastReturnMs - nowMs;
  }

  async #watchLanes(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      try {
        for await (const _ of this.#parts.lanes.changes(signal)) await this.#readLanes();
      } catch (error) {
        this.#parts.logger.warn({ err: error }, 'no longer hears of new lanes; trying again');
      }
      await this.#parts.clock.sleep(RETRY_MS, signal);
    }
  }

  async #relist(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      await this.#readLanes();
      await this.#parts.clock.sleep(RELIST_MS, signal);
    }
  }

  async #readLanes(): Promise<void> {
    try {
      for (const [lane, requirements] of await this.#parts.lanes.list()) {
        if (this.#loops.has(lane) || !this.#parts.suits(requirements)) continue;
        this.#loops.set(lane, { requirements, requested: 0, isLeaving: false });
      }
      this.changed.ring();
    } catch (error) {
      this.#parts.logger.warn({ err: error }, 'could not list the lanes; trying again');
    }
  }

  #track(task: Promise<void>): void {
    const work = task
      .catch((error: unknown) => {
        this.#parts.logger.error({ err: error }, 'a loop of the intake broke; please report it');
      })
      .finally(() => this.#tasks.delete(work));
    this.#tasks.add(work);
  }
}
