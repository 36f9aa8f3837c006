import {
  type Claimed,
  type ClaimTicket,
  type LaneId,
  type Offer,
  type OfferQueue,
  PortError,
  type RunId,
  type TaskId,
} from '@podmesh/core';
import type { FakeProcess } from '../process/fake-process.ts';
import { pullFrom, ticketSequence } from './fake-claim.ts';
import type { LaneServer } from './fake-lane-directory.ts';
import type { QueueServer } from './queue-server.ts';

/** Messages of one atomic batch: a larger publication may be stored in part. */
const BATCH_OFFERS_MAX = 1_000;

/** The work queue of offers as one process sees it. */
export class FakeOfferQueue implements OfferQueue {
  private readonly process: FakeProcess;
  private readonly server: QueueServer<Offer>;
  private readonly lanes: LaneServer;

  constructor(process: FakeProcess, server: QueueServer<Offer>, lanes: LaneServer) {
    this.process = process;
    this.server = server;
    this.lanes = lanes;
  }

  async publish(offers: readonly Offer[]): Promise<void> {
    for (let start = 0; start < offers.length; start += BATCH_OFFERS_MAX) {
      const batch = offers.slice(start, start + BATCH_OFFERS_MAX);
      const label = `offers.publish ${batch[0]?.run} ${batch.map((offer) => offer.task).join(',')}`;
      await this.process.call(label, () => this.store(batch));
    }
  }

  pull(
    lane: LaneId,
    limit: number,
    waitMs: number,
    signal: AbortSignal,
  ): AsyncGenerator<Claimed<Offer>> {
    return pullFrom(this.process, this.server, { partition: lane, limit, waitMs, signal });
  }

  waiting(run: RunId): Promise<ReadonlySet<TaskId>> {
    return this.process.call(
      `offers.waiting ${run}`,
      () => new Set(this.server.groupMembers(run).map((offer) => offer.task)),
    );
  }

  discard(run: RunId): Promise<void> {
    return this.process.call(`offers.discard ${run}`, () => this.server.discard(run));
  }

  settle(ticket: ClaimTicket): Promise<void> {
    return this.process.call(`settle ${ticket}`, () => this.server.ack(ticketSequence(ticket)));
  }

  private store(offers: readonly Offer[]): void {
    for (const { lane } of offers) {
      if (!this.lanes.has(lane)) {
        throw new PortError(`lane ${lane} was never opened`, { retryable: false });
      }
    }
    for (const offer of offers) this.server.publish(JSON.parse(JSON.stringify(offer)) as Offer);
  }
}
