import type { Msg } from '@nats-io/transport-node';
import type { Claimed, ClaimTicket, LaneId, Offer, OfferQueue, RunId, TaskId } from '@podmesh/core';
import { ClaimQueue, queuedSubjects } from './claim-queue.ts';
import { acknowledgeUnconfirmed } from './claim-ticket.ts';
import { GroupAppender, type GroupAppenderOptions } from './group-appender.ts';
import { decodeJson, encodeJson } from './json-codec.ts';
import type { MeshConnection } from './mesh-connection.ts';
import { UnreadableMessageError } from './mesh-errors.ts';
import { asking } from './port-error.ts';
import {
  laneConsumer,
  laneSubjects,
  OFFER_STREAM,
  offerSubject,
  runOfferSubjects,
  taskOfOfferSubject,
} from './subjects.ts';

export interface OfferQueueOptions extends GroupAppenderOptions {
  /** Overrides `LEASE_MS`; tests shorten it. */
  readonly leaseMs?: number;
}

/** Offers on one work-queue stream, with one durable consumer per lane. */
export class JetStreamOfferQueue implements OfferQueue {
  readonly #mesh: MeshConnection;
  readonly #appender: GroupAppender;
  readonly #options: OfferQueueOptions;
  readonly #lanes = new Map<LaneId, ClaimQueue<Offer>>();

  constructor(mesh: MeshConnection, options: OfferQueueOptions = {}) {
    this.#mesh = mesh;
    this.#options = options;
    this.#appender = new GroupAppender(mesh, OFFER_STREAM, options);
  }

  /** Makes the lane's consumer; for {@link JetStreamLaneDirectory}. */
  openLane(lane: LaneId): Promise<void> {
    return this.#lane(lane).ensure();
  }

  async publish(offers: readonly Offer[]): Promise<void> {
    await Promise.all(
      offers.map((offer) =>
        this.#appender.append({
          subject: offerSubject(offer.lane, offer.run, offer.task),
          payload: encodeJson(offer),
        }),
      ),
    );
  }

  pull(
    lane: LaneId,
    limit: number,
    waitMs: number,
    signal: AbortSignal,
  ): AsyncGenerator<Claimed<Offer>, void, undefined> {
    return this.#lane(lane).pull(limit, waitMs, signal);
  }

  async waiting(run: RunId): Promise<ReadonlySet<TaskId>> {
    const subjects = await queuedSubjects(this.#mesh, OFFER_STREAM, runOfferSubjects(run));
    return new Set(subjects.map(taskOfOfferSubject));
  }

  async discard(run: RunId): Promise<void> {
    const filter = runOfferSubjects(run);
    await asking(`discard offers of ${run}`, () =>
      this.#mesh.jsm.streams.purge(OFFER_STREAM, { filter }),
    );
  }

  async settle(ticket: ClaimTicket): Promise<void> {
    acknowledgeUnconfirmed(this.#mesh, ticket);
  }

  #lane(lane: LaneId): ClaimQueue<Offer> {
    let queue = this.#lanes.get(lane);
    if (queue === undefined) {
      queue = new ClaimQueue(this.#mesh, {
        stream: OFFER_STREAM,
        consumer: laneConsumer(lane),
        filter: laneSubjects(lane),
        parse: parseOffer,
        ...(this.#options.leaseMs === undefined ? {} : { leaseMs: this.#options.leaseMs }),
      });
      this.#lanes.set(lane, queue);
    }
    return queue;
  }
}

/** An offer that is not the one its subject names would be run under a wrong name. */
function parseOffer(message: Msg): Offer {
  const offer = decodeJson<Offer>(message.data, message.subject);
  if (offerSubject(offer.lane, offer.run, offer.task) !== message.subject)
    throw new UnreadableMessageError(message.subject);
  return offer;
}
