import type { Anchor, AnchorRecord, PeerId } from '@podmesh/core';
import {
  type AnchorAnswer,
  AnchorBook,
  type AnchorOrder,
  ClusterAdmin,
  connectMesh,
  gatherStreams,
  type MeshConnection,
  scaleStreams,
} from '@podmesh/jetstream';
import { systemClock } from '@podmesh/transfer';
import type { AnchorSeat } from './anchor-seat.ts';

/** Where it stands; a test ends the daemon after each. */
export type GatherStep = 'noted' | 'copied' | 'decided' | 'left' | 'serving' | 'undone';

export interface GatheringParts {
  readonly seat: AnchorSeat;
  readonly connection: MeshConnection;
  /** A connection of the system account, to be closed. */
  readonly system: () => Promise<MeshConnection>;
  readonly order: (peer: PeerId, order: AnchorOrder) => Promise<AnchorAnswer>;
  /** Takes back what these had as anchors; they were told that they are none any more. */
  readonly retire: (peers: readonly PeerId[]) => Promise<void>;
  readonly onStep: (step: GatherStep) => void;
  /** What has to be done and could not be: it is tried again. */
  readonly onTrouble: (error: unknown) => void;
  /** Of the daemon. */
  readonly signal: AbortSignal;
  /** Milliseconds that only go forward. */
  readonly now: () => number;
}

const AGAIN_MS = 1_000;
/** Who does not hear that it may go finds out by itself. */
const LEAVE_MS = 10_000;
const CONNECT_MS = 60_000;

/**
 * Makes several anchors one again, while runs go on. First the only copy of everything comes to this machine's server,
 * while the cluster serves it: whatever ends until then, the cluster works, and gets its copies back. The note `gathered`
 * on this disk is the one moment at which the cluster is over: the others have nothing any more that they could serve,
 * and this store is never again one of several. Only then is anybody told, and it is served alone.
 */
export class AnchorGathering {
  readonly #parts: GatheringParts;
  /** One for each change: whoever ends the wait must not have come too early for it. */
  #interrupted = new AbortController();
  #isStuck = false;

  constructor(parts: GatheringParts) {
    this.#parts = parts;
  }

  /** Whether one was begun that came to no end: the cluster is to have its copies again. */
  get isPending(): boolean {
    const { seat } = this.#parts.seat;
    return (
      seat.kind === 'open' &&
      seat.record.cluster !== undefined &&
      seat.attempt !== undefined &&
      seat.attempt.cluster === undefined
    );
  }

  /** Whether what was begun cannot be undone while somebody is silent: another may take that place. */
  get isStuck(): boolean {
    return this.#isStuck && !this.#interrupted.signal.aborted;
  }

  /** Ends the wait for others that are gone for good: what is here is going to be rescued, or they are replaced. */
  interrupt(): void {
    this.#interrupted.abort();
  }

  /** Resolves with how long nobody could store anything, in milliseconds. */
  async run(): Promise<number> {
    const { seat, connection, onStep } = this.#parts;
    const signal = this.#begin();
    const at = seat.seat;
    if (at.kind !== 'open') throw new Error(`${seat.peer} carries no server (${at.kind})`);
    if (at.attempt !== undefined && !this.isPending)
      throw new Error('an exchange of anchors is not finished yet');
    const { record } = at;
    const self = record.anchors.find(({ peer }) => peer === seat.peer);
    if (self === undefined) throw new Error(`${seat.peer} is none of the anchors`);
    const { route: _, ...alone } = self;
    const next = { generation: record.generation + 1, anchors: [alone] };
    await seat.write({ kind: 'open', record, attempt: next });
    onStep('noted');
    try {
      await gatherStreams(connection, self.server, signal);
      onStep('copied');
    } catch (error) {
      if (!signal.aborted) await this.#undo(record, signal);
      throw error;
    }
    await seat.write({ kind: 'gathered', record: next, store: self.server });
    onStep('decided');
    const others = record.anchors.filter(({ peer }) => peer !== seat.peer);
    const left = await this.#dismiss(others, next);
    onStep('left');
    const pausedMs = await this.#standAlone(signal);
    await this.#retire(others, left);
    onStep('serving');
    return pausedMs;
  }

  /** The cluster goes on as it was, with as many copies; until it does, it is tried again. */
  async undo(): Promise<void> {
    const signal = this.#begin();
    const { seat: at } = this.#parts.seat;
    if (at.kind === 'open') await this.#undo(at.record, signal);
  }

  #begin(): AbortSignal {
    this.#interrupted = new AbortController();
    this.#isStuck = false;
    return AbortSignal.any([this.#parts.signal, this.#interrupted.signal]);
  }

  async #undo(record: AnchorRecord, signal: AbortSignal): Promise<void> {
    const { seat, onStep } = this.#parts;
    await this.#untilDone(signal, () => this.#scale(record, signal));
    await seat.write({ kind: 'open', record });
    this.#isStuck = false;
    onStep('undone');
  }

  /** As many copies as there were. Nobody waits for those of a server that is silent: it may be gone for good. */
  async #scale({ anchors }: AnchorRecord, signal: AbortSignal): Promise<void> {
    const { connection } = this.#parts;
    const copies = anchors.length >= 5 ? 5 : 3;
    const silent = await this.#silentOf(anchors);
    const servers = silent.map(({ server }) => server);
    try {
      await scaleStreams(connection, copies, signal, servers);
      await connection.ensureLiveLog();
    } catch (error) {
      this.#isStuck = silent.length > 0;
      if (!this.#isStuck) throw error;
      throw new Error(
        `there cannot be ${copies} copies of everything without ${silent.map(({ peer }) => peer).join(' and ')}: start it ` +
          'again, or give its place to another: podmesh anchors replace',
        { cause: error },
      );
    }
  }

  async #silentOf(anchors: readonly Anchor[]): Promise<readonly Anchor[]> {
    const own = await this.#parts.system();
    const admin = new ClusterAdmin(own);
    const silent: Anchor[] = [];
    try {
      for (const anchor of anchors) if (!(await admin.answers(anchor.server))) silent.push(anchor);
    } finally {
      await own.close();
    }
    return silent;
  }

  /** The others end their servers: they have nothing any more, and whoever asks them is told nothing. Who said so. */
  async #dismiss(others: readonly Anchor[], next: AnchorRecord): Promise<ReadonlySet<PeerId>> {
    const { order, system, now } = this.#parts;
    const left = new Set<PeerId>();
    for (const { peer } of others)
      void order(peer, { kind: 'leave', record: next }).then(
        () => left.add(peer),
        () => undefined,
      );
    const own = await system().catch(() => undefined);
    if (own === undefined) return left;
    const admin = new ClusterAdmin(own);
    const names = others.map(({ server }) => server);
    const deadline = now() + LEAVE_MS;
    const isThere = async (): Promise<boolean> =>
      (await admin.survey()).some(({ server }) => names.includes(server));
    while (now() < deadline && (await isThere().catch(() => false)));
    await own.close();
    return left;
  }

  /** There is no way back: it has to serve. */
  async #standAlone(signal: AbortSignal): Promise<number> {
    const { seat, now } = this.#parts;
    const began = now();
    await this.#untilDone(signal, () => seat.serve());
    const pausedMs = Math.round(now() - began);
    await this.#untilDone(signal, () => this.tell());
    return pausedMs;
  }

  /**
   * What they had as anchors is taken back. Who is away still needs it, to find out and to end its server by itself. They
   * may have heard of it before they could say so.
   */
  async #retire(others: readonly Anchor[], left: ReadonlySet<PeerId>): Promise<void> {
    const { seat, order, retire, onTrouble } = this.#parts;
    const { record } = seat;
    if (record === undefined) return;
    const told = await Promise.all(
      others.map(
        ({ peer }) =>
          left.has(peer) ||
          order(peer, { kind: 'leave', record }).then(
            () => true,
            () => false,
          ),
      ),
    );
    const gone = others.filter((_, at) => told[at]).map(({ peer }) => peer);
    if (gone.length > 0) await retire(gone).catch(onTrouble);
  }

  /** Says on the server that is alone now that it is, and makes anew there what only several had. */
  async tell(): Promise<void> {
    const { server, record } = this.#parts.seat;
    if (server === undefined || record === undefined || record.cluster !== undefined) return;
    const url = server.address;
    const own = await connectMesh({ url, name: 'podmesh-gathering', timeoutMs: CONNECT_MS });
    try {
      await own.ensureLiveLog(1);
      await new AnchorBook(own).write(record);
    } finally {
      await own.close();
    }
  }

  async #untilDone(signal: AbortSignal, act: () => Promise<void>): Promise<void> {
    const { onTrouble } = this.#parts;
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
}
