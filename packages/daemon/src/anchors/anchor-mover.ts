import { randomBytes } from 'node:crypto';
import type { Anchor, AnchorRecord, PeerId } from '@podmesh/core';
import {
  type AnchorAnswer,
  AnchorBook,
  type AnchorOrder,
  type AnchorPapers,
  type CopiedStream,
  connectMesh,
  copyMesh,
  type EmbeddedNatsServer,
  type MeshConnection,
  type MoveOutlook,
  type PapersRequest,
} from '@podmesh/jetstream';
import { isLoopback, systemClock } from '@podmesh/transfer';
import { nanoid } from 'nanoid';
import { hostOf, placeOf, portOf } from './anchor-place.ts';
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
  readonly order: (peer: PeerId, order: AnchorOrder) => Promise<AnchorAnswer>;
  /** What the authority gives to a peer that is to carry a server there. */
  readonly papers: (anchor: Anchor, request: PapersRequest) => Promise<AnchorPapers>;
  readonly onStep: (step: MoveStep) => void;
  /** What has to be done and could not be: it is tried again. */
  readonly onTrouble: (error: unknown) => void;
  /** Of the daemon: nothing is tried again after it. */
  readonly signal: AbortSignal;
  /** Milliseconds that only go forward. */
  readonly now: () => number;
}

export interface MoveReport {
  readonly record: AnchorRecord;
  readonly streams: readonly CopiedStream[];
  /** For how long nobody could store anything. */
  readonly pausedMs: number;
}

/** An anchor with what it made to be signed. */
interface Reserved {
  readonly anchor: Anchor;
  readonly request: PapersRequest;
}

/** How far the end of a move has come. */
interface Finishing {
  /** The server of the next generation, until it serves where the old one did. */
  readonly beside?: EmbeddedNatsServer;
  /** Whether its record is written. */
  isMarked: boolean;
}

const CONNECT_MS = 60_000;
const AGAIN_MS = 1_000;

/**
 * Moves a mesh from its only server to several, while runs go on. The invariant, at every moment and after every crash:
 * at most one generation takes writes. Its server is closed before anything is copied; the note `moved` on this disk,
 * after everything is copied and verified, is the one moment at which the next generation becomes the truth; only then
 * is anybody told. Whatever ends before that note, the old server opens again as it was; after it, it never does.
 */
export class AnchorMover {
  readonly #parts: MoverParts;
  #trying: number | undefined;

  constructor(parts: MoverParts) {
    this.#parts = parts;
  }

  /** What becomes of a generation: `given-up` is for ever, its number is never tried again while somebody has joined for it. */
  outlookOf(generation: number): MoveOutlook {
    const { seat } = this.#parts.seat;
    if (this.#trying === generation || seat.kind !== 'open') return 'trying';
    if (seat.attempt?.generation === generation && seat.record.cluster !== undefined)
      return 'trying';
    return seat.record.generation >= generation ? 'moved' : 'given-up';
  }

  async move(peers: readonly PeerId[]): Promise<MoveReport> {
    try {
      return await this.#move(peers);
    } finally {
      this.#trying = undefined;
    }
  }

  async #move(peers: readonly PeerId[]): Promise<MoveReport> {
    const { seat, onStep } = this.#parts;
    const { seat: at } = seat;
    if (at.kind !== 'open' || at.record.cluster !== undefined)
      throw new Error('only the peer whose server is alone can move what it has');
    await this.#giveUp();
    const { record } = at;
    const generation = Math.max(record.generation, at.attempt?.generation ?? 0) + 1;
    this.#trying = generation;
    const reserved = await this.#reserve(generation, peers);
    const anchors = reserved.map(({ anchor }) => anchor);
    const next = { generation, cluster: `podmesh-${generation}-${nanoid(6)}`, anchors };
    onStep('reserved');
    await seat.write({ kind: 'open', record, attempt: next });
    onStep('noted');
    let beside: EmbeddedNatsServer | undefined;
    try {
      beside = await this.#gather(next, reserved);
      onStep('gathered');
      return await this.#copy(record, next, beside);
    } catch (error) {
      await beside?.stop();
      this.#trying = undefined;
      if (seat.seat.kind === 'moved') {
        // There is no way back: the next generation is the truth, and has to serve.
        await seat.serve();
        await this.#finish(next);
      } else await this.#openAgain(record, next);
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
    // Members of a cluster that are being exchanged: that is finished, not given up.
    if (seat.seat.record.cluster !== undefined) return;
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

  async #reserve(generation: number, peers: readonly PeerId[]): Promise<readonly Reserved[]> {
    const { seat, order } = this.#parts;
    const others = peers.filter((peer) => peer !== seat.peer);
    if (others.length === peers.length)
      throw new Error(`${seat.peer} has the only copy: it has to be one of them`);
    const reserved = await Promise.all(
      others.map(async (peer) => {
        const answer = await order(peer, { kind: 'reserve', generation });
        const { anchor, request, reaches } = answer;
        if (anchor?.peer !== peer || request === undefined)
          throw new Error(`${peer} names no address for its server`);
        return { anchor, request, reaches };
      }),
    );
    const own = await seat.reserve(generation, ownPlace(seat, reserved));
    const all = [own, ...reserved];
    const near = all.filter(({ anchor }) => isLoopback(hostOf(anchor.client)));
    if (near.length > 0 && near.length < all.length)
      throw new Error(
        `${near.map(({ anchor }) => anchor.peer).join(', ')} can be reached from its own machine only; ` +
          'start it with --listen and an address of that machine that the others reach',
      );
    return all;
  }

  /** Starts all servers of the next generation; resolves when they agree on a leader and take streams of all of them. */
  async #gather(next: AnchorRecord, reserved: readonly Reserved[]): Promise<EmbeddedNatsServer> {
    const { seat, order, onStep, papers } = this.#parts;
    const mover = seat.peer;
    const secret = randomBytes(32).toString('hex');
    const start = async ({
      anchor,
      request,
    }: Reserved): Promise<EmbeddedNatsServer | undefined> => {
      const given = { papers: await papers(anchor, request), secret };
      if (anchor.peer !== mover) {
        await order(anchor.peer, { kind: 'join', record: next, mover, ...given });
        return undefined;
      }
      await seat.accept(given, anchor);
      return seat.serveBeside(next, anchor);
    };
    const servers = await Promise.allSettled(reserved.map(start));
    const beside = servers.map((one) => (one.status === 'fulfilled' ? one.value : undefined));
    const [server] = beside.filter((one) => one !== undefined);
    try {
      for (const one of servers) if (one.status === 'rejected') throw one.reason;
      if (server === undefined) throw new Error(`${mover} is none of the anchors`);
      onStep('joined');
      const connection = await connectTo(server);
      await connection.untilPlaces(next.anchors.length).finally(() => connection.close());
      return server;
    } catch (error) {
      await server?.stop();
      throw error;
    }
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
      await seat.replace(await seat.servers.closed());
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
    const at: Finishing = { beside, isMarked: false };
    await this.#untilDone(() => this.#finish(next, at));
    return { record: next, streams, pausedMs: Math.round(now() - began) };
  }

  /** The next generation is the truth: it is told so, and serves where the old server did. */
  async #finish(next: AnchorRecord, at: Finishing = { isMarked: false }): Promise<void> {
    const { seat, onStep } = this.#parts;
    if (!at.isMarked) await this.#mark(next, at.beside ?? seat.server);
    at.isMarked = true;
    if (at.beside !== undefined) {
      await at.beside.stop();
      await seat.serve();
    }
    onStep('serving');
    await seat.write({ kind: 'open', record: next });
    await seat.servers.forgetAlone();
  }

  async #mark(next: AnchorRecord, server: EmbeddedNatsServer | undefined): Promise<void> {
    if (server === undefined) throw new Error('the server of the new generation does not run');
    const connection = await connectTo(server);
    await new AnchorBook(connection).write(next).finally(() => connection.close());
    this.#parts.onStep('marked');
  }

  /** What a mesh cannot be left without. */
  async #untilDone(act: () => Promise<void>): Promise<void> {
    const { signal, onTrouble } = this.#parts;
    for (;;) {
      try {
        return await act();
      } catch (error) {
        if (signal.aborted) throw error;
        onTrouble(error);
        await systemClock.sleep(AGAIN_MS, signal);
      }
    }
  }

  async #openAgain(record: AnchorRecord, attempt: AnchorRecord): Promise<void> {
    const { seat } = this.#parts;
    await seat.write({ kind: 'open', record, attempt });
    await this.#untilDone(() => seat.serve());
    await this.#giveUp();
  }
}

function connectTo(server: EmbeddedNatsServer): Promise<MeshConnection> {
  return connectMesh({ url: server.address, name: 'podmesh-mover', timeoutMs: CONNECT_MS });
}

/** The others' way to this machine tells where it is to be found; its port is its own. */
function ownPlace(
  { server }: AnchorSeat,
  reserved: readonly { readonly reaches: string | undefined }[],
): string {
  const own = server?.served ?? '';
  const far = reserved.find(({ reaches }) => reaches !== undefined && !isLoopback(hostOf(reaches)));
  return far?.reaches === undefined ? own : placeOf(hostOf(far.reaches), portOf(own));
}
