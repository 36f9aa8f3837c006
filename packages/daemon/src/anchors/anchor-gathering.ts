import type { AnchorRecord, PeerId } from '@podmesh/core';
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
  #interrupted = new AbortController();

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

  /** Ends the wait for others that are gone for good: what is here is going to be rescued. */
  interrupt(): void {
    this.#interrupted.abort();
  }

  /** Resolves with how long nobody could store anything, in milliseconds. */
  async run(): Promise<number> {
    const { seat, connection, onStep, signal } = this.#parts;
    const at = seat.seat;
    if (at.kind !== 'open') throw new Error(`${seat.peer} carries no server (${at.kind})`);
    if (at.attempt !== undefined) throw new Error('an exchange of anchors is not finished yet');
    const { record } = at;
    this.#interrupted = new AbortController();
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
      if (!signal.aborted) await this.undo();
      throw error;
    }
    await seat.write({ kind: 'gathered', record: next, store: self.server });
    onStep('decided');
    await this.#dismiss(record, next);
    onStep('left');
    return this.#standAlone();
  }

  /** The cluster goes on as it was, with as many copies; until it does, it is tried again. */
  async undo(): Promise<void> {
    const { seat, connection, onStep, signal } = this.#parts;
    const at = seat.seat;
    if (at.kind !== 'open') return;
    const { record } = at;
    this.#interrupted = new AbortController();
    await this.#untilDone(async () => {
      await scaleStreams(connection, record.anchors.length >= 5 ? 5 : 3, signal);
      await connection.ensureLiveLog();
    });
    await seat.write({ kind: 'open', record });
    onStep('undone');
  }

  /** The others end their servers: they have nothing any more, and whoever asks them is told nothing. */
  async #dismiss({ anchors }: AnchorRecord, next: AnchorRecord): Promise<void> {
    const { seat, order, system, now } = this.#parts;
    const others = anchors.filter(({ peer }) => peer !== seat.peer);
    for (const { peer } of others)
      void order(peer, { kind: 'leave', record: next }).catch(() => undefined);
    const own = await system().catch(() => undefined);
    if (own === undefined) return;
    const admin = new ClusterAdmin(own);
    const names = others.map(({ server }) => server);
    const deadline = now() + LEAVE_MS;
    const isThere = async (): Promise<boolean> =>
      (await admin.survey()).some(({ server }) => names.includes(server));
    while (now() < deadline && (await isThere().catch(() => false)));
    await own.close();
  }

  /** There is no way back: it has to serve. */
  async #standAlone(): Promise<number> {
    const { seat, onStep, now } = this.#parts;
    const began = now();
    await this.#untilDone(() => seat.serve());
    const pausedMs = Math.round(now() - began);
    await this.#untilDone(() => this.tell());
    onStep('serving');
    return pausedMs;
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

  async #untilDone(act: () => Promise<void>): Promise<void> {
    const { onTrouble } = this.#parts;
    const signal = AbortSignal.any([this.#parts.signal, this.#interrupted.signal]);
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
