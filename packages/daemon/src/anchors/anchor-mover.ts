import type { Anchor, AnchorRecord, PeerId } from '@podmesh/core';
import {
  AnchorBook,
  type AnchorOrder,
  type CopiedStream,
  connectMesh,
  copyMesh,
  type EmbeddedNatsServer,
  freePort,
  type MeshConnection,
} from '@podmesh/jetstream';
import { nanoid } from 'nanoid';
import type { AnchorSeat } from './anchor-seat.ts';

/** Where a move stands; a test ends the mover after each. */
export type MoveStep =
  | 'reserved'
  | 'noted'
  | 'joined'
  | 'gathered'
  | 'closing'
  | 'closed'
  | 'copied'
  | 'moved'
  | 'marked'
  | 'serving';

export interface MoverParts {
  readonly seat: AnchorSeat;
  /** Tells another peer; throws when it refuses, or does not answer. */
  readonly order: (peer: PeerId, order: AnchorOrder) => Promise<Anchor | undefined>;
  readonly onStep: (step: MoveStep) => void;
  /** Milliseconds that only go forward. */
  readonly now: () => number;
}

export interface MoveReport {
  readonly record: AnchorRecord;
  readonly streams: readonly CopiedStream[];
  /** For how long nobody could store anything. */
  readonly pausedMs: number;
}

const CONNECT_MS = 60_000;

/**
 * Moves a mesh from its only server to several, while runs go on. The invariant, at every moment and after every crash:
 * at most one generation takes writes. Its server is closed before anything is copied; the note `moved` on this disk,
 * after everything is copied and verified, is the one moment at which the next generation becomes the truth; only then
 * is anybody told. Whatever ends before that note, the old server opens again as it was; after it, it never does.
 */
export class AnchorMover {
  readonly #parts: MoverParts;

  constructor(parts: MoverParts) {
    this.#parts = parts;
  }

  async move(peers: readonly PeerId[]): Promise<MoveReport> {
    const { seat, onStep } = this.#parts;
    const { seat: at } = seat;
    if (at.kind !== 'open' || at.record.cluster !== undefined)
      throw new Error('only the peer whose server is alone can move what it has');
    await this.#giveUp();
    const { record } = at;
    const generation = Math.max(record.generation, at.attempt?.generation ?? 0) + 1;
    const next = await this.#reserve(generation, peers);
    onStep('reserved');
    await seat.write({ kind: 'open', record, attempt: next });
    onStep('noted');
    let beside: EmbeddedNatsServer | undefined;
    try {
      beside = await this.#gather(next);
      onStep('gathered');
      return await this.#copy(record, next, beside);
    } catch (error) {
      await beside?.stop();
      if (seat.seat.kind !== 'moved') await this.#openAgain(record, next);
      throw error;
    }
  }

  /** After a start: ends what an earlier move of this home left, or finishes it. */
  async recover(): Promise<void> {
    const { seat } = this.#parts;
    if (seat.seat.kind === 'moved') await this.#finish(seat.seat.record);
    else await this.#giveUp();
  }

  /** Tells those who joined in vain; who cannot be told asks. */
  async #giveUp(): Promise<void> {
    const { seat, order } = this.#parts;
    if (seat.seat.kind !== 'open' || seat.seat.attempt === undefined) return;
    const { record, attempt } = seat.seat;
    await seat.servers.forget(attempt.generation);
    const others = attempt.anchors.filter(({ peer }) => peer !== seat.peer);
    const { generation } = attempt;
    const told = await Promise.allSettled(
      others.map(({ peer }) => order(peer, { kind: 'abandon', generation })),
    );
    if (told.every(({ status }) => status === 'fulfilled'))
      await seat.write({ kind: 'open', record });
  }

  async #reserve(generation: number, peers: readonly PeerId[]): Promise<AnchorRecord> {
    const { seat, order } = this.#parts;
    const anchors = await Promise.all(
      peers.map(async (peer) => {
        if (peer === seat.peer) return seat.reserve(generation);
        const anchor = await order(peer, { kind: 'reserve', generation });
        if (anchor === undefined) throw new Error(`${peer} names no address for its server`);
        return anchor;
      }),
    );
    return { generation, cluster: `podmesh-${generation}-${nanoid(6)}`, anchors };
  }

  /** Starts all servers of the next generation; resolves when they agree on a leader and take streams of all of them. */
  async #gather(next: AnchorRecord): Promise<EmbeddedNatsServer> {
    const { seat, order, onStep } = this.#parts;
    const self = next.anchors.find(({ peer }) => peer === seat.peer);
    if (self === undefined)
      throw new Error(`${seat.peer} has the only copy: it has to be one of them`);
    const others = next.anchors.filter(({ peer }) => peer !== seat.peer);
    const mover = seat.peer;
    const joining = others.map(({ peer }) => order(peer, { kind: 'join', record: next, mover }));
    const [beside] = await Promise.all([seat.serveBeside(next, self), ...joining]);
    onStep('joined');
    const connection = await connectTo(beside);
    await connection.untilPlaces(next.anchors.length).finally(() => connection.close());
    return beside;
  }

  async #copy(
    record: AnchorRecord,
    next: AnchorRecord,
    beside: EmbeddedNatsServer,
  ): Promise<MoveReport> {
    const { seat, onStep, now } = this.#parts;
    const to = await connectTo(beside);
    let from: MeshConnection | undefined;
    let streams: readonly CopiedStream[];
    const began = now();
    try {
      await seat.write({ kind: 'closed', record, next });
      onStep('closing');
      const name = record.anchors[0]?.server ?? '';
      await seat.replace(seat.servers.closed(`${name}-closed`, await freePort()));
      onStep('closed');
      if (seat.server === undefined) throw new Error('the closed server does not run');
      from = await connectTo(seat.server);
      const replicas = next.anchors.length >= 5 ? 5 : 3;
      streams = await copyMesh({ from, to, replicas });
      onStep('copied');
    } finally {
      await Promise.all([from?.close(), to.close()]);
    }
    await seat.write({ kind: 'moved', record: next, from: record.generation });
    onStep('moved');
    await this.#finish(next, beside);
    return { record: next, streams, pausedMs: Math.round(now() - began) };
  }

  /** The next generation is the truth: it is told so, and serves where the old server did. */
  async #finish(next: AnchorRecord, beside?: EmbeddedNatsServer): Promise<void> {
    const { seat, onStep } = this.#parts;
    const server = beside ?? seat.server;
    if (server === undefined) throw new Error('the server of the new generation does not run');
    const connection = await connectTo(server);
    await new AnchorBook(connection).write(next).finally(() => connection.close());
    onStep('marked');
    if (beside !== undefined) {
      await beside.stop();
      await seat.serve();
    }
    onStep('serving');
    await seat.write({ kind: 'open', record: next });
    await seat.servers.forgetAlone();
  }

  async #openAgain(record: AnchorRecord, attempt: AnchorRecord): Promise<void> {
    const { seat } = this.#parts;
    await seat.write({ kind: 'open', record, attempt });
    await seat.serve();
    await this.#giveUp();
  }
}

function connectTo(server: EmbeddedNatsServer): Promise<MeshConnection> {
  return connectMesh({ url: server.url, name: 'podmesh-mover', timeoutMs: CONNECT_MS });
}
