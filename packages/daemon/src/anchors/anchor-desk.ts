import type { Anchor, AnchorPlan, AnchorRecord, PeerId } from '@podmesh/core';
import { planAnchors } from '@podmesh/core';
import {
  type AnchorAnswer,
  AnchorBook,
  type AnchorOrder,
  type AnchorPapers,
  askMover,
  ClusterAdmin,
  connectMesh,
  followAnchors,
  type MeshConnection,
  orderAnchor,
  type PapersRequest,
  retireServer,
  serveAnchorOrders,
} from '@podmesh/jetstream';
import { systemClock } from '@podmesh/transfer';
import type { Logger } from 'pino';
import { AnchorExchange, type ExchangeStep } from './anchor-exchange.ts';
import { AnchorMover, type MoveStep } from './anchor-mover.ts';
import type { AnchorSeat } from './anchor-seat.ts';

/** A server that joined looks this often whether its generation is the truth. */
const LOOK_MS = 1_000;
/** Whoever moves the mesh is asked after this long whether it still does. */
const ASK_MOVER_MS = 20_000;
/** Whoever is in no record any more asks this often whether it is still a member of the cluster. */
const DISMISSED_MS = 5_000;
/** Whoever exchanges anchors takes it out before that; one that was away for long joins the cluster anew, and nobody looks. */
const DISMISSED_LOOKS = 24;
const CONNECT_MS = 5_000;

export interface AnchorDeskParts {
  readonly seat: AnchorSeat;
  readonly connection: MeshConnection;
  readonly logger: Logger;
  /** A connection of the system account, to be closed. */
  readonly system: () => Promise<MeshConnection>;
  readonly onStep: (step: MoveStep) => void;
  readonly onExchangeStep: (step: ExchangeStep) => void;
  /** Of whoever holds the keys of the mesh; nobody else changes its anchors. */
  readonly papers?: (anchor: Anchor, request: PapersRequest) => Promise<AnchorPapers>;
  /** Takes back, where the keys are, what peers had as anchors that they are no more. */
  readonly retire?: (peers: readonly PeerId[]) => Promise<void>;
  /** Hears of each record of the anchors, for whoever starts later. */
  readonly onRecord: (record: AnchorRecord) => void;
}

/** A peer's part in who carries the mesh: follows the record, takes orders, and moves the mesh when it is told to. */
export class AnchorDesk {
  readonly #parts: AnchorDeskParts;
  readonly #mover: AnchorMover;
  readonly #exchange: AnchorExchange;
  readonly #stop = new AbortController();
  #moving: { told: string; readonly isWaitedFor: boolean } | undefined;
  #change: Promise<unknown> = Promise.resolve();
  #heard: AnchorRecord | undefined;
  #dismissedLooks = 0;
  #lastMove = 'no';
  #work: Promise<unknown> = Promise.resolve();
  #turn: Promise<unknown> = Promise.resolve();

  constructor(parts: AnchorDeskParts) {
    this.#parts = parts;
    const { seat, connection, system } = parts;
    const order = (peer: PeerId, said: AnchorOrder) => orderAnchor(connection, peer, said);
    const papers = (anchor: Anchor, request: PapersRequest): Promise<AnchorPapers> => {
      if (parts.papers === undefined) throw new Error('the keys of the mesh are not here');
      return parts.papers(anchor, request);
    };
    const tell = (told: string): void => {
      if (this.#moving !== undefined) this.#moving.told = told;
    };
    this.#exchange = new AnchorExchange({
      ...{ seat, connection, system, order, papers },
      retire: async (peers) => parts.retire?.(peers),
      onStep: (step) => {
        parts.logger.info({ step }, 'exchanging anchors');
        tell(step);
        parts.onExchangeStep(step);
      },
      onTrouble: (error) => {
        parts.logger.warn({ err: error }, 'an exchange of anchors waits; trying again');
        tell(`waiting: ${textOf(error)}`);
      },
      signal: this.#stop.signal,
    });
    this.#mover = new AnchorMover({
      seat,
      order,
      papers,
      onStep: (step) => {
        parts.logger.info({ step }, 'moving the mesh to other anchors');
        tell(step);
        parts.onStep(step);
      },
      onTrouble: (error) =>
        parts.logger.error(
          { err: error },
          'the server of this mesh does not serve yet; trying again',
        ),
      signal: this.#stop.signal,
      now: () => systemClock.nowMs(),
    });
  }

  /** Resolves when what an earlier start left is settled. */
  async start(): Promise<void> {
    const { seat, connection, logger, onRecord } = this.#parts;
    const { signal } = this.#stop;
    await this.#mover.recover();
    await this.#tellFirst().catch((error: unknown) =>
      logger.warn({ err: error }, 'could not write down who carries the mesh'),
    );
    const serving = {
      peer: seat.peer,
      carryOut: (order: AnchorOrder) => this.#inTurn(() => this.#carryOut(order)),
      outlookOf: (generation: number) => this.#mover.outlookOf(generation),
    };
    serveAnchorOrders(connection, serving, signal);
    const onRecordRead = (record: AnchorRecord): void => {
      const names = record.anchors.map(({ peer }) => peer).join(', ');
      logger.info({ generation: record.generation }, `the mesh is carried by ${names}`);
      this.#heard = record;
      onRecord(record);
      void this.#inTurn(() => seat.confirm(record)).catch((error: unknown) =>
        logger.error({ err: error }, 'could not follow who carries the mesh'),
      );
    };
    this.#work = Promise.all([
      followAnchors(connection, onRecordRead, signal),
      this.#watchJoined(),
      this.#watchDismissed(),
    ]);
    this.#settleLeft();
  }

  /** Harmless when never started, or called twice. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await Promise.all([this.#work, this.#change]);
  }

  /** A mesh that never had a record gets its first one from the server that is alone. */
  async #tellFirst(): Promise<void> {
    const { seat, connection } = this.#parts;
    if (seat.seat.kind === 'open' && seat.seat.record.cluster === undefined)
      await new AnchorBook(connection).write(seat.seat.record);
  }

  /** How the change goes that was asked for last. */
  get told(): string {
    return this.#moving?.isWaitedFor === true ? this.#moving.told : this.#lastMove;
  }

  /** Nobody else changes who carries the mesh. */
  get hasKeys(): boolean {
    return this.#parts.papers !== undefined;
  }

  /** What this peer carries; undefined while that is being changed and nobody is needed for it. */
  get carried(): AnchorRecord | undefined {
    return this.#moving === undefined ? this.#parts.seat.record : this.#exchange.stuckAt;
  }

  async #carryOut(order: AnchorOrder): Promise<AnchorAnswer> {
    const { seat, connection } = this.#parts;
    switch (order.kind) {
      case 'reserve': {
        const reaches = connection.server;
        const { anchor, request } = await seat.reserve(order.generation, reaches);
        return { anchor, request, reaches };
      }
      case 'join': {
        const known = await new AnchorBook(connection).read();
        // Whoever was asleep when it was asked would be one too many.
        if (known !== undefined && known.generation >= order.record.generation)
          throw new Error(`the mesh went on without ${seat.peer}; ask for it again`);
        await seat.join(order);
        return {};
      }
      case 'abandon':
        await seat.abandon(order.generation);
        return {};
      case 'leave':
        await seat.confirm(order.record, true);
        return {};
    }
  }

  /** One change of the seat after the other. */
  #inTurn<T>(act: () => Promise<T>): Promise<T> {
    const done = this.#turn.then(act, act);
    this.#turn = done.catch(() => undefined);
    return done;
  }

  /** Begins to make these the anchors; throws a sentence when that cannot be. */
  change(wanted: readonly PeerId[]): 'nothing' | 'begun' {
    const { seat, logger, papers } = this.#parts;
    const at = seat.seat;
    if (papers === undefined) throw new Error('the keys of the mesh are not on this machine');
    if (at.kind !== 'open') throw new Error(`${seat.peer} carries no server (${at.kind})`);
    if (this.#moving !== undefined && this.#exchange.stuckAt === undefined)
      throw new Error(`a change is under way: ${this.#moving.told}`);
    if (this.#planFor(wanted).kind === 'nothing') return 'nothing';
    this.#exchange.interrupt();
    this.#begin(true, async () => {
      try {
        // What was interrupted may have ended otherwise than it seemed.
        this.#lastMove = await this.#carry(this.#planFor(wanted));
      } catch (error) {
        this.#lastMove = `failed: ${textOf(error)}`;
        logger.error({ err: error }, 'could not change the anchors');
      }
    });
    return 'begun';
  }

  /** Throws a sentence when these cannot be the anchors. */
  #planFor(wanted: readonly PeerId[]): AnchorPlan {
    const { standing } = this.#exchange;
    if (standing === undefined) throw new Error(`${this.#parts.seat.peer} carries no server`);
    const plan = planAnchors(standing, wanted);
    if (!plan.ok) throw new Error(plan.error);
    return plan.value;
  }

  /** What an exchange left that was interrupted, by whatever. */
  #settleLeft(): void {
    const { logger, papers } = this.#parts;
    if (papers === undefined || !this.#exchange.isPending || this.#stop.signal.aborted) return;
    this.#begin(false, async () => {
      const record = await this.#exchange.recover();
      const { generation } = record;
      logger.info({ generation }, 'an exchange of anchors that was interrupted is settled');
    });
  }

  /** One change after the other. */
  #begin(isWaitedFor: boolean, act: () => Promise<void>): void {
    const moving = { told: 'begun', isWaitedFor };
    this.#moving = moving;
    this.#change = this.#change
      .then(act)
      .catch((error: unknown) => {
        this.#parts.logger.debug({ err: error }, 'a change of anchors was interrupted');
      })
      .then(() => {
        if (this.#moving !== moving) return;
        this.#moving = undefined;
        this.#settleLeft();
      });
  }

  async #carry(plan: AnchorPlan): Promise<string> {
    const { logger } = this.#parts;
    if (plan.kind === 'nothing') return 'done';
    if (plan.kind === 'copy') {
      const report = await this.#mover.move(plan.anchors);
      const { generation } = report.record;
      logger.info({ generation }, `the mesh moved; nothing was stored for ${report.pausedMs} ms`);
      return `paused ${report.pausedMs} ms`;
    }
    const record = await this.#exchange.run(plan.join, plan.leave);
    const { generation } = record;
    logger.info({ generation }, 'the anchors are others now; nothing had to pause');
    return 'done';
  }

  /** While it is not known whether the generation that was joined for is the truth. */
  async #watchJoined(): Promise<void> {
    const { signal } = this.#stop;
    let waitedMs = 0;
    while (!signal.aborted) {
      await systemClock.sleep(LOOK_MS, signal);
      const { seat } = this.#parts.seat;
      waitedMs = seat.kind === 'joining' ? waitedMs + LOOK_MS : 0;
      if (seat.kind !== 'joining' || signal.aborted) continue;
      await this.#lookAtOwn(seat.record).catch(() => undefined);
      if (waitedMs % ASK_MOVER_MS === 0) await this.#askMover().catch(() => undefined);
    }
  }

  /** Its own server has the record as soon as it is the truth, also when whoever moved the mesh is gone. */
  async #lookAtOwn(joined: AnchorRecord): Promise<void> {
    const { seat, connection } = this.#parts;
    if (seat.server === undefined) return;
    const own = await connectMesh({
      url: seat.server.address,
      name: 'podmesh-joined',
      timeoutMs: CONNECT_MS,
    });
    try {
      const record = await new AnchorBook(own).read();
      if (record === undefined || record.generation < joined.generation) return;
      await this.#inTurn(() => seat.confirm(record));
      connection.useServers(record.anchors.map(({ client }) => client));
    } finally {
      await own.close();
    }
  }

  /** Whoever is none of the anchors any more, and was away when it was told so, ends its server by itself. */
  async #watchDismissed(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      await this.#leaveIfDismissed().catch(() => undefined);
      await systemClock.sleep(DISMISSED_MS, signal);
    }
  }

  async #leaveIfDismissed(): Promise<void> {
    const { seat, system, connection } = this.#parts;
    const record = this.#heard;
    const at = seat.seat;
    if (at.kind !== 'open' || record === undefined || at.record.cluster !== record.cluster) return;
    const server = at.record.anchors.find(({ peer }) => peer === seat.peer)?.server;
    // Of a server that just came the last that was heard may be older: it would go as soon as it is there.
    const isNamed = record.anchors.some((anchor) => anchor.server === server);
    if (server === undefined || isNamed || record.generation <= at.record.generation) {
      this.#dismissedLooks = 0;
      return;
    }
    const own = await system();
    try {
      const admin = new ClusterAdmin(own);
      // Until it is taken out it may have what nobody else has yet.
      if ((await admin.members()).every((member) => member.server !== server))
        await this.#inTurn(() => seat.confirm(record, true));
      else if (++this.#dismissedLooks > DISMISSED_LOOKS)
        await retireServer(admin, connection, server, this.#stop.signal);
    } finally {
      await own.close();
    }
  }

  async #askMover(): Promise<void> {
    const { seat } = this.#parts.seat;
    if (seat.kind !== 'joining') return;
    const { generation } = seat.record;
    const outlook = await askMover(this.#parts.connection, seat.mover, generation);
    // Of a move that was made, its own server tells: nothing that may be the truth is ever given up.
    if (outlook === 'given-up') await this.#inTurn(() => this.#parts.seat.abandon(generation));
  }
}

const textOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
