import type { Anchor, AnchorRecord, PeerId } from '@podmesh/core';
import { planAnchors } from '@podmesh/core';
import {
  type AnchorAnswer,
  AnchorBook,
  type AnchorOrder,
  type AnchorPapers,
  askMover,
  connectMesh,
  followAnchors,
  type MeshConnection,
  orderAnchor,
  type PapersRequest,
  serveAnchorOrders,
} from '@podmesh/jetstream';
import { systemClock } from '@podmesh/transfer';
import type { Logger } from 'pino';
import { AnchorMover, type MoveStep } from './anchor-mover.ts';
import type { AnchorSeat } from './anchor-seat.ts';

/** A server that joined looks this often whether its generation is the truth. */
const LOOK_MS = 1_000;
/** Whoever moves the mesh is asked after this long whether it still does. */
const ASK_MOVER_MS = 20_000;
const CONNECT_MS = 5_000;

export interface AnchorDeskParts {
  readonly seat: AnchorSeat;
  readonly connection: MeshConnection;
  readonly logger: Logger;
  readonly onStep: (step: MoveStep) => void;
  /** Of whoever holds the keys of the mesh; nobody else changes its anchors. */
  readonly papers?: (anchor: Anchor, request: PapersRequest) => Promise<AnchorPapers>;
  /** Hears of each record of the anchors, for whoever starts later. */
  readonly onRecord: (record: AnchorRecord) => void;
}

/** A peer's part in who carries the mesh: follows the record, takes orders, and moves the mesh when it is told to. */
export class AnchorDesk {
  readonly #parts: AnchorDeskParts;
  readonly #mover: AnchorMover;
  readonly #stop = new AbortController();
  #moving: { told: string } | undefined;
  #lastMove = 'no';
  #work: Promise<unknown> = Promise.resolve();
  #turn: Promise<unknown> = Promise.resolve();

  constructor(parts: AnchorDeskParts) {
    this.#parts = parts;
    this.#mover = new AnchorMover({
      seat: parts.seat,
      order: (peer, order) => orderAnchor(parts.connection, peer, order),
      papers: (anchor, request) => {
        if (parts.papers === undefined) throw new Error('the keys of the mesh are not here');
        return parts.papers(anchor, request);
      },
      onStep: (step) => {
        parts.logger.info({ step }, 'moving the mesh to other anchors');
        if (this.#moving !== undefined) this.#moving.told = step;
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
      onRecord(record);
      void this.#inTurn(() => seat.confirm(record)).catch((error: unknown) =>
        logger.error({ err: error }, 'seat'),
      );
    };
    this.#work = Promise.all([
      followAnchors(connection, onRecordRead, signal),
      this.#watchJoined(),
    ]);
  }

  /** Harmless when never started, or called twice. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#work;
  }

  /** A mesh that never had a record gets its first one from the server that is alone. */
  async #tellFirst(): Promise<void> {
    const { seat, connection } = this.#parts;
    if (seat.seat.kind === 'open' && seat.seat.record.cluster === undefined)
      await new AnchorBook(connection).write(seat.seat.record);
  }

  /** How the change goes that was asked for last. */
  get told(): string {
    return this.#moving?.told ?? this.#lastMove;
  }

  async #carryOut(order: AnchorOrder): Promise<AnchorAnswer> {
    const { seat, connection } = this.#parts;
    switch (order.kind) {
      case 'reserve': {
        const reaches = connection.server;
        const { anchor, request } = await seat.reserve(order.generation, reaches);
        return { anchor, request, reaches };
      }
      case 'join':
        await seat.join(order);
        return {};
      case 'abandon':
        await seat.abandon(order.generation);
        return {};
      case 'leave':
        throw new Error('this version exchanges no members of a cluster yet');
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
    if (this.#moving !== undefined) throw new Error(`a change is under way: ${this.#moving.told}`);
    const plan = planAnchors(at.record, wanted);
    if (!plan.ok) throw new Error(plan.error);
    if (plan.value.kind === 'nothing') return 'nothing';
    if (plan.value.kind !== 'copy')
      throw new Error('members of a cluster are exchanged by whoever holds the system account');
    this.#moving = { told: 'begun' };
    const move = this.#mover.move(plan.value.anchors).then(
      (report) => {
        this.#lastMove = `paused ${report.pausedMs} ms`;
        logger.info(report, `the mesh moved; nothing could be stored for ${report.pausedMs} ms`);
      },
      (error: unknown) => {
        this.#lastMove = `failed: ${error instanceof Error ? error.message : String(error)}`;
        logger.error({ err: error }, 'the mesh stays where it was');
      },
    );
    this.#work = Promise.all([
      this.#work,
      move.finally(() => {
        this.#moving = undefined;
      }),
    ]);
    return 'begun';
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

  async #askMover(): Promise<void> {
    const { seat } = this.#parts.seat;
    if (seat.kind !== 'joining') return;
    const { generation } = seat.record;
    const outlook = await askMover(this.#parts.connection, seat.mover, generation);
    // Of a move that was made, its own server tells: nothing that may be the truth is ever given up.
    if (outlook === 'given-up') await this.#inTurn(() => this.#parts.seat.abandon(generation));
  }
}
