import type { Anchor, AnchorRecord, PeerId } from '@podmesh/core';
import { planAnchors } from '@podmesh/core';
import {
  type AnchorAnswer,
  AnchorBook,
  type AnchorOrder,
  connectMesh,
  followAnchors,
  type MeshConnection,
  orderAnchor,
  serveAnchorOrders,
} from '@podmesh/jetstream';
import type { Logger } from 'pino';
import { systemClock } from '../system-clock.ts';
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
  /** Hears of each record of the anchors, for whoever starts later. */
  readonly onRecord: (record: AnchorRecord) => void;
}

/** A peer's part in who carries the mesh: follows the record, takes orders, and moves the mesh when it is told to. */
export class AnchorDesk {
  readonly #parts: AnchorDeskParts;
  readonly #mover: AnchorMover;
  readonly #stop = new AbortController();
  #moving: { readonly generation: number; told: string } | undefined;
  #lastMove = '';
  #work: Promise<unknown> = Promise.resolve();

  constructor(parts: AnchorDeskParts) {
    this.#parts = parts;
    this.#mover = new AnchorMover({
      seat: parts.seat,
      order: (peer, order) => this.#order(peer, order),
      onStep: (step) => {
        parts.logger.info({ step }, 'moving the mesh to other anchors');
        if (this.#moving !== undefined) this.#moving.told = step;
        parts.onStep(step);
      },
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
    serveAnchorOrders(connection, seat.peer, (order) => this.#carryOut(order), signal);
    const onRecordRead = (record: AnchorRecord): void => {
      logger.info({ record }, `${record.anchors.length} anchors carry the mesh`);
      onRecord(record);
      void seat.confirm(record).catch((error: unknown) => logger.error({ err: error }, 'seat'));
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
    if (seat.seat.kind === 'open') await new AnchorBook(connection).write(seat.seat.record);
  }

  async #carryOut(order: AnchorOrder): Promise<AnchorAnswer> {
    const { seat } = this.#parts;
    switch (order.kind) {
      case 'reserve':
        return { kind: 'done', anchor: await seat.reserve(order.generation) };
      case 'join':
        await seat.join(order.record, order.mover);
        return { kind: 'done' };
      case 'abandon':
        await seat.abandon(order.generation);
        return { kind: 'done' };
      case 'trying': {
        const moving = this.#moving?.generation === order.generation || order.generation === 0;
        return { kind: 'done', told: moving ? (this.#moving?.told ?? this.#lastMove) : 'no' };
      }
      case 'change':
        return this.#change(order.anchors);
      case 'leave':
        throw new Error('this version exchanges no members of a cluster yet');
    }
  }

  #change(wanted: readonly PeerId[]): AnchorAnswer {
    const { seat, logger } = this.#parts;
    const at = seat.seat;
    if (at.kind !== 'open') throw new Error(`${seat.peer} is no anchor (${at.kind})`);
    if (this.#moving !== undefined) throw new Error(`a change is under way: ${this.#moving.told}`);
    const plan = planAnchors(at.record, wanted);
    if (!plan.ok) throw new Error(plan.error);
    if (plan.value.kind === 'nothing') return { kind: 'done', told: 'nothing' };
    if (plan.value.kind !== 'copy')
      throw new Error('members of a cluster are exchanged by whoever holds the system account');
    this.#moving = { generation: at.record.generation + 1, told: 'begun' };
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
    return { kind: 'done', told: 'begun' };
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
      url: seat.server.url,
      name: 'podmesh-joined',
      timeoutMs: CONNECT_MS,
    });
    try {
      const record = await new AnchorBook(own).read();
      if (record === undefined || record.generation < joined.generation) return;
      await seat.confirm(record);
      connection.useServers(record.anchors.map(({ client }) => client));
    } finally {
      await own.close();
    }
  }

  async #askMover(): Promise<void> {
    const { seat } = this.#parts.seat;
    if (seat.kind !== 'joining') return;
    const { generation } = seat.record;
    const { told } = await orderAnchor(this.#parts.connection, seat.mover, {
      kind: 'trying',
      generation,
    });
    if (told === 'no') await this.#parts.seat.abandon(generation);
  }

  async #order(peer: PeerId, order: AnchorOrder): Promise<Anchor | undefined> {
    return (await orderAnchor(this.#parts.connection, peer, order)).anchor;
  }
}
