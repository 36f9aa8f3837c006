import type { Anchor, AnchorPlan, AnchorRecord, PeerId } from '@podmesh/core';
import { planAnchors } from '@podmesh/core';
import {
  type AnchorAnswer,
  AnchorBook,
  type AnchorOrder,
  type AnchorPapers,
  followAnchors,
  type MeshConnection,
  orderAnchor,
  type PapersRequest,
  serveAnchorOrders,
} from '@podmesh/jetstream';
import { systemClock } from '@podmesh/transfer';
import type { Logger } from 'pino';
import { AnchorExchange, type ExchangeStep } from './anchor-exchange.ts';
import { AnchorGathering, type GatherStep } from './anchor-gathering.ts';
import { AnchorMover, type MoveStep } from './anchor-mover.ts';
import type { AnchorRescue } from './anchor-rescue.ts';
import type { AnchorSeat } from './anchor-seat.ts';
import { clusterQuestions } from './cluster-questions.ts';
import { DismissedWatch } from './dismissed-watch.ts';
import { watchJoined } from './watch-joined.ts';

export interface AnchorDeskParts {
  readonly seat: AnchorSeat;
  readonly connection: MeshConnection;
  readonly logger: Logger;
  /** A connection of the system account, to be closed. */
  readonly system: () => Promise<MeshConnection>;
  readonly onStep: (step: MoveStep) => void;
  readonly onExchangeStep: (step: ExchangeStep) => void;
  readonly onGatherStep: (step: GatherStep) => void;
  readonly rescue: AnchorRescue;
  /** What the mesh's record is now where another mesh than the record's is found in its place. */
  readonly supersededBy: (record: AnchorRecord) => Promise<AnchorRecord | undefined>;
  /** Of whoever holds the keys of the mesh; nobody else changes its anchors. */
  readonly papers?: (anchor: Anchor, request: PapersRequest) => Promise<AnchorPapers>;
  /** Takes back, where the keys are, what peers had as anchors that they are no more. */
  readonly retire?: (peers: readonly PeerId[]) => Promise<void>;
  /** Hears of each record of the anchors, for whoever starts later. */
  readonly onRecord: (record: AnchorRecord) => void;
}

interface Moving {
  told: string;
  readonly isWaitedFor: boolean;
  /** It must not begin any more. */
  isDropped: boolean;
}

/** A peer's part in who carries the mesh: follows the record, takes orders, and moves the mesh when it is told to. */
export class AnchorDesk {
  readonly #parts: AnchorDeskParts;
  readonly #mover: AnchorMover;
  readonly #exchange: AnchorExchange;
  readonly #gathering: AnchorGathering;
  readonly #stop = new AbortController();
  #moving: Moving | undefined;
  #change: Promise<unknown> = Promise.resolve();
  #heard: AnchorRecord | undefined;
  #lastMove = 'no';
  /** How many were asked for. */
  #asked = 0;
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
    const retire = async (peers: readonly PeerId[]): Promise<void> => parts.retire?.(peers);
    this.#exchange = new AnchorExchange({
      ...{ seat, connection, system, order, papers, retire },
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
    this.#gathering = new AnchorGathering({
      ...{ seat, connection, system, order, retire },
      onStep: (step) => {
        parts.logger.info({ step }, 'making the anchors one');
        tell(step);
        parts.onGatherStep(step);
      },
      onTrouble: (error) => {
        parts.logger.warn({ err: error }, 'making the anchors one waits; trying again');
        tell(`waiting: ${textOf(error)}`);
      },
      signal: this.#stop.signal,
      now: () => systemClock.nowMs(),
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
      watchJoined({ seat, connection, inTurn: (act) => this.#inTurn(act) }, signal),
      this.#dismissed().watch(signal),
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

  #dismissed(): DismissedWatch {
    const { seat, system, connection, supersededBy } = this.#parts;
    return new DismissedWatch({
      peer: seat.peer,
      seat: () => seat.seat,
      heard: () => this.#heard,
      ...clusterQuestions(system, connection, this.#stop.signal),
      supersededBy,
      leave: (record) => this.#inTurn(() => seat.confirm(record, true)),
      sleep: (ms, signal) => systemClock.sleep(ms, signal),
    });
  }

  /** How the change goes that was asked for last. */
  get told(): string {
    return this.#moving?.isWaitedFor === true ? this.#moving.told : this.#lastMove;
  }

  /** Which change that is. */
  get asked(): number {
    return this.#asked;
  }

  /** Nobody else changes who carries the mesh. */
  get hasKeys(): boolean {
    return this.#parts.papers !== undefined;
  }

  /** What this peer carries; undefined while that is being changed and nobody is needed for it. */
  get carried(): AnchorRecord | undefined {
    const { record } = this.#parts.seat;
    if (this.#moving === undefined || this.#gathering.isStuck) return record;
    return this.#exchange.stuckAt;
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
    const isStuck = this.#exchange.stuckAt !== undefined || this.#gathering.isStuck;
    if (this.#moving !== undefined && !isStuck)
      throw new Error(`a change is under way: ${this.#moving.told}`);
    if (this.#planFor(wanted).kind === 'nothing') return 'nothing';
    this.#exchange.interrupt();
    this.#gathering.interrupt();
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

  /** Begins to go on with what is here alone, since these are gone for good; throws a sentence when that may not be. */
  async rescue(lost: readonly PeerId[]): Promise<'begun'> {
    const { seat, rescue, logger } = this.#parts;
    await rescue.refuse(lost);
    // What is under way waits for those who are gone.
    this.#exchange.interrupt();
    this.#gathering.interrupt();
    // Nor does anything begin that only waits for its turn.
    if (this.#moving !== undefined) this.#moving.isDropped = true;
    this.#begin(true, async () => {
      try {
        await this.#inTurn(async () => {
          await rescue.begin(lost);
          await rescue.finish();
        });
        await this.#gathering.tell();
        this.#lastMove = 'done';
        logger.warn({ generation: seat.record?.generation }, `goes on without ${lost.join(', ')}`);
      } catch (error) {
        this.#lastMove = `failed: ${textOf(error)}`;
        logger.error({ err: error }, 'could not go on alone');
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
    if (plan.value.kind === 'gather' && plan.value.at !== this.#parts.seat.peer)
      throw new Error(
        `${this.#parts.seat.peer} has the keys of the mesh, and looks after its anchors: it is the one that stays`,
      );
    return plan.value;
  }

  /** What an exchange left that was interrupted, by whatever. */
  #settleLeft(): void {
    const { logger, papers } = this.#parts;
    if (this.#stop.signal.aborted) return;
    if (this.#gathering.isPending) this.#begin(false, () => this.#gathering.undo());
    if (papers === undefined || !this.#exchange.isPending) return;
    this.#begin(false, async () => {
      const record = await this.#exchange.recover();
      const { generation } = record;
      logger.info({ generation }, 'an exchange of anchors that was interrupted is settled');
    });
  }

  /** One change after the other. */
  #begin(isWaitedFor: boolean, act: () => Promise<void>): void {
    const moving: Moving = { told: 'begun', isWaitedFor, isDropped: false };
    this.#moving = moving;
    if (isWaitedFor) this.#asked += 1;
    this.#change = this.#change
      .then(() => (moving.isDropped ? undefined : act()))
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
    if (plan.kind === 'gather') {
      const pausedMs = await this.#gathering.run();
      logger.info(`one anchor carries the mesh; nothing was stored for ${pausedMs} ms`);
      return `paused ${pausedMs} ms`;
    }
    const record = await this.#exchange.run(plan.join, plan.leave);
    const { generation } = record;
    logger.info({ generation }, 'the anchors are others now; nothing had to pause');
    return 'done';
  }
}

const textOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
