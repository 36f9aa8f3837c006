import type { Anchor, AnchorRecord, PeerId } from '@podmesh/core';
import {
  type AnchorAnswer,
  AnchorBook,
  type AnchorOrder,
  type AnchorPapers,
  areScaled,
  ClusterAdmin,
  type MeshConnection,
  type PapersRequest,
  scaleStreams,
  untilLedByOthers,
  untilOnOthers,
} from '@podmesh/jetstream';
import { isLoopback, systemClock } from '@podmesh/transfer';
import { hostOf } from './anchor-place.ts';
import type { AnchorSeat } from './anchor-seat.ts';

export interface ExchangeParts {
  readonly seat: AnchorSeat;
  readonly connection: MeshConnection;
  /** A connection of the system account, to be closed. */
  readonly system: () => Promise<MeshConnection>;
  readonly order: (peer: PeerId, order: AnchorOrder) => Promise<AnchorAnswer>;
  readonly papers: (anchor: Anchor, request: PapersRequest) => Promise<AnchorPapers>;
  /** Takes back what these had as anchors; they were told that they are none any more. */
  readonly retire: (peers: readonly PeerId[]) => Promise<void>;
  readonly onStep: (step: ExchangeStep) => void;
  /** What has to be done and could not be: it is tried again. */
  readonly onTrouble: (error: unknown) => void;
  /** Of the daemon. */
  readonly signal: AbortSignal;
}

/** Where an exchange stands; a test ends the daemon after each. */
export type ExchangeStep = 'reserved' | 'noted' | 'joined' | 'recorded' | 'left' | 'undone';

/** A server that has to be given all that there is of the cluster may take its time. */
const JOIN_MS = 60_000;
/** Those who joined before a crash are there soon after it, or were never told to join. */
const REJOIN_MS = 20_000;
const AGAIN_MS = 1_000;

interface Joiner {
  readonly anchor: Anchor;
  readonly request: PapersRequest;
}

/**
 * Exchanges members of a cluster while it works. The facts themselves stay in the same cluster all the time, so there is
 * never a second truth; a record only says where it is. What is going to be done is noted on this disk first. Until the
 * mesh has the new record it may be undone, by a record of a still higher generation with the old anchors, after which
 * the new one can never be written; from then on it is finished. Nobody leaves before all it had is on the others.
 */
export class AnchorExchange {
  readonly #parts: ExchangeParts;
  #settling = new AbortController();
  /** What the mesh's record says, while there is more to be done about it than could be done. */
  #stuckAt: AnchorRecord | undefined;

  constructor(parts: ExchangeParts) {
    this.#parts = parts;
  }

  /** Whether an earlier one is neither finished nor undone. */
  get isPending(): boolean {
    const { seat } = this.#parts.seat;
    return (
      seat.kind === 'open' &&
      seat.attempt !== undefined &&
      seat.record.cluster === seat.attempt.cluster
    );
  }

  /** The truth of an exchange that waits for a server that may never come back: another may take its place. */
  get stuckAt(): AnchorRecord | undefined {
    return this.#settling.signal.aborted ? undefined : this.#left;
  }

  /** What the next one begins with. */
  get standing(): AnchorRecord | undefined {
    return this.#left ?? this.#parts.seat.record;
  }

  /** A rescue may have ended what waited, together with its cluster. */
  get #left(): AnchorRecord | undefined {
    const isOfSeat = this.#stuckAt?.cluster === this.#parts.seat.record?.cluster;
    return this.isPending && isOfSeat ? this.#stuckAt : undefined;
  }

  /** Ends the wait of such a one; the next one goes on from there. */
  interrupt(): void {
    this.#settling.abort();
  }

  async run(join: readonly PeerId[], leave: readonly PeerId[]): Promise<AnchorRecord> {
    const { seat, order, onStep } = this.#parts;
    const { seat: at } = seat;
    if (at.kind !== 'open') throw new Error(`${seat.peer} carries no server (${at.kind})`);
    if (leave.includes(seat.peer))
      throw new Error(
        `${seat.peer} has the keys of the mesh, and looks after its anchors: it stays one`,
      );
    const record = this.#left ?? at.record;
    this.#begin();
    refuseTheWayBack(record, at.record, join);
    await this.#refuseWhereSilent(record, join, leave);
    const generation = Math.max(record.generation, at.attempt?.generation ?? 0) + 1;
    const joiners: Joiner[] = [];
    for (const peer of join) {
      const { anchor, request } = await order(peer, { kind: 'reserve', generation });
      if (anchor?.peer !== peer || request === undefined)
        throw new Error(`${peer} names no address for its server`);
      refuseUnreachable(anchor, record);
      joiners.push({ anchor, request });
    }
    onStep('reserved');
    const stay = record.anchors.filter(({ peer }) => !leave.includes(peer));
    const next = { ...record, generation, anchors: [...stay, ...joiners.map((one) => one.anchor)] };
    await seat.write({ kind: 'open', record, attempt: next });
    onStep('noted');
    const failure = await this.#gather(next, joiners).then(
      () => undefined,
      (error: unknown) => error,
    );
    this.#signal.throwIfAborted();
    const truth = await this.#settle(failure === undefined ? JOIN_MS : 0);
    if (isSame(truth, next)) return truth;
    throw (
      failure ??
      new Error('those who joined went away again, or others were made anchors meanwhile')
    );
  }

  /** After a start: what was noted is finished, or undone. */
  async recover(): Promise<AnchorRecord> {
    this.#begin();
    return this.#settle(REJOIN_MS);
  }

  /** One for each change: whoever ends the wait must not have come too early for it. */
  #begin(): void {
    this.#settling = new AbortController();
    this.#stuckAt = undefined;
  }

  get #signal(): AbortSignal {
    return AbortSignal.any([this.#settling.signal, this.#parts.signal]);
  }

  /** One after the other: each that comes raises the number of those that must agree. */
  async #gather(next: AnchorRecord, joiners: readonly Joiner[]): Promise<void> {
    const { seat, system, order } = this.#parts;
    const signal = this.#signal;
    const secret = await seat.servers.secretOf(ownServer(next, seat.peer));
    const own = await system();
    try {
      for (const { anchor, request } of joiners) {
        const papers = await this.#parts.papers(anchor, request);
        await order(anchor.peer, {
          kind: 'join',
          record: next,
          mover: seat.peer,
          papers,
          secret,
        });
        await new ClusterAdmin(own).untilMembers([anchor.server], signal, JOIN_MS);
      }
    } finally {
      await own.close();
    }
  }

  /** Until what is noted is finished or undone: a mesh cannot be left in between. */
  async #settle(patienceMs: number): Promise<AnchorRecord> {
    const signal = this.#signal;
    for (;;) {
      let own: MeshConnection | undefined;
      try {
        own = await this.#parts.system();
        const admin = new ClusterAdmin(own);
        const truth = await this.#truth(admin, patienceMs, signal);
        const isDone = isSame(truth, pendingOf(this.#parts.seat).attempt);
        this.#parts.onStep(isDone ? 'recorded' : 'undone');
        await this.#follow(admin, truth, signal).catch((error: unknown) => {
          this.#stuckAt = truth;
          throw error;
        });
        this.#stuckAt = undefined;
        if (isDone) this.#parts.onStep('left');
        await this.#retire(truth);
        await this.#parts.seat.write({ kind: 'open', record: truth });
        return truth;
      } catch (error) {
        if (signal.aborted) throw error;
        this.#parts.onTrouble(error);
        await systemClock.sleep(AGAIN_MS, signal);
      } finally {
        await own?.close();
      }
    }
  }

  /** What the mesh says, and says it where nobody has: the new anchors if all have joined, the old ones if not. */
  async #truth(
    admin: ClusterAdmin,
    patienceMs: number,
    signal: AbortSignal,
  ): Promise<AnchorRecord> {
    const { seat, connection, onStep } = this.#parts;
    const { record, attempt } = pendingOf(seat);
    const book = new AnchorBook(connection);
    const known = await book.read();
    if (known !== undefined && known.generation >= attempt.generation) return known;
    const before = record.anchors.map(({ server }) => server);
    const joined = attempt.anchors.map(({ server }) => server).filter((it) => !before.includes(it));
    const isWhole = await admin.untilMembers(joined, signal, patienceMs).then(
      () => true,
      () => false,
    );
    signal.throwIfAborted();
    if (isWhole) onStep('joined');
    return book.write(isWhole ? attempt : { ...record, generation: attempt.generation + 1 });
  }

  /** As many copies as there are to be, none of them on those that the record does not name any more. */
  async #follow(admin: ClusterAdmin, truth: AnchorRecord, signal: AbortSignal): Promise<void> {
    const { connection } = this.#parts;
    const servers = truth.anchors.map(({ server }) => server);
    const members = (await admin.members()).map(({ server }) => server);
    const silent = await silentOf(admin, [...new Set([...servers, ...members])]);
    const goes = members.filter((server) => !servers.includes(server));
    await connection.ensureLiveLog();
    // Those who are gone first: nobody waits for their copies, nor may they be among the fewer that are kept.
    const gone = goes.filter((one) => silent.includes(one));
    if (gone.length > 0) await untilLedByOthers(connection, silent, signal);
    for (const server of gone) await this.#remove(admin, { server, truth, silent }, signal);
    const copies = truth.anchors.length >= 5 ? 5 : 3;
    const away = servers.filter((server) => silent.includes(server));
    if (away.length === 0) await scaleStreams(connection, copies, signal);
    else if (!(await areScaled(connection, copies)))
      throw new Error(
        `${away.join(' and ')} must answer before there are ${copies} copies of everything: start it again, ` +
          'or give its place to another: podmesh anchors replace',
      );
    for (const server of goes.filter((one) => !silent.includes(one)))
      await this.#dismiss(admin, { server, truth, silent }, signal);
  }

  /** Everything moves off a server that works; then it ends. */
  async #dismiss(admin: ClusterAdmin, goes: Dismissal, signal: AbortSignal): Promise<void> {
    const { connection, order, seat } = this.#parts;
    const { server, truth: record } = goes;
    const { record: before, attempt } = pendingOf(seat);
    await admin.evacuate(server);
    const isGone = async () => !(await admin.answers(server));
    // Also for the copies of one that is away: as long as they are not there, this one is needed.
    await untilOnOthers(connection, server, { isGone, signal });
    // Its daemon may be there although its server is not: it must not forget what nobody saw on the others.
    if (await isGone()) throw new Error(`${server} ended before all that it had was on the others`);
    const known = [...before.anchors, ...attempt.anchors];
    const peer = known.find((one) => one.server === server)?.peer;
    // Who does not hear it finds out by itself.
    if (peer !== undefined) await order(peer, { kind: 'leave', record }).catch(() => undefined);
    await this.#remove(admin, goes, signal);
  }

  /**
   * What those had as anchors who were some before is taken back, once they have nothing to do with it any more. Who is away
   * still needs it, to find out and to end its server by itself.
   */
  async #retire(truth: AnchorRecord): Promise<void> {
    const { order, retire, seat } = this.#parts;
    const before = pendingOf(seat).record.anchors.map(({ peer }) => peer);
    const gone = before.filter((peer) => !isOf(peer, truth.anchors));
    const told = await Promise.allSettled(
      gone.map((peer) => order(peer, { kind: 'leave', record: truth })),
    );
    const left = gone.filter((_, at) => told[at]?.status === 'fulfilled');
    if (left.length > 0) await retire(left);
  }

  async #remove(admin: ClusterAdmin, goes: Dismissal, signal: AbortSignal): Promise<void> {
    const { connection } = this.#parts;
    const { server, truth, silent } = goes;
    await admin.remove(server);
    await connection.ensureLiveLog();
    await untilOnOthers(connection, server, { silent, copies: truth.anchors.length, signal });
  }

  /** What has to be copied to those that stay needs them; only who is gone may be replaced without them. */
  async #refuseWhereSilent(
    record: AnchorRecord,
    join: readonly PeerId[],
    leave: readonly PeerId[],
  ): Promise<void> {
    const own = await this.#parts.system();
    const admin = new ClusterAdmin(own);
    const silent = await silentOf(
      admin,
      record.anchors.map(({ server }) => server),
    ).finally(() => own.close());
    const quiet = record.anchors.filter(({ server }) => silent.includes(server));
    const stays = quiet.find(({ peer }) => !leave.includes(peer));
    const isReplacing = join.length === leave.length && leave.every((peer) => isOf(peer, quiet));
    if (stays !== undefined && !isReplacing)
      throw new Error(
        `${stays.peer} does not answer, and stays: start it again, or give its place to another first: ` +
          `podmesh anchors replace ${stays.peer} NEW`,
      );
  }
}

interface Dismissal {
  readonly server: string;
  readonly truth: AnchorRecord;
  readonly silent: readonly string[];
}

/** Somebody else who has the keys may have been faster. */
const isSame = (a: AnchorRecord, b: AnchorRecord): boolean =>
  a.generation === b.generation &&
  `${a.anchors.map(({ server }) => server)}` === `${b.anchors.map(({ server }) => server)}`;

const isOf = (peer: PeerId, anchors: readonly Anchor[]): boolean =>
  anchors.some((anchor) => anchor.peer === peer);

async function silentOf(
  admin: ClusterAdmin,
  servers: readonly string[],
): Promise<readonly string[]> {
  const silent: string[] = [];
  for (const server of servers) if (!(await admin.answers(server))) silent.push(server);
  return silent;
}

function pendingOf({ seat }: AnchorSeat) {
  if (seat.kind !== 'open' || seat.attempt === undefined)
    throw new Error('no exchange of anchors is noted here');
  return { record: seat.record, attempt: seat.attempt };
}

function ownServer(record: AnchorRecord, peer: PeerId): string {
  const own = record.anchors.find((anchor) => anchor.peer === peer)?.server;
  if (own === undefined) throw new Error(`${peer} is none of the anchors`);
  return own;
}

/**
 * Of an exchange that waits, whoever goes has the only other copies, and is on its way out: as a new member it would have
 * to forget them first.
 */
function refuseTheWayBack(
  { anchors }: AnchorRecord,
  before: AnchorRecord,
  join: readonly PeerId[],
): void {
  const going = before.anchors.filter(({ server }) =>
    anchors.every((one) => one.server !== server),
  );
  const back = join.find((peer) => isOf(peer, going));
  if (back === undefined) return;
  const came = anchors.filter(({ peer }) => !isOf(peer, before.anchors)).map(({ peer }) => peer);
  throw new Error(
    `${back} is just being taken out and cannot come back before that is done: start ${came.join(', ')} again, or give ` +
      `that place to another machine: podmesh anchors replace ${came[0] ?? 'OLD'} NEW. ${back} keeps all it has until ` +
      'then, and can be made an anchor again afterwards',
  );
}

function refuseUnreachable({ peer, client }: Anchor, { anchors }: AnchorRecord): void {
  const isFar = anchors.some((one) => !isLoopback(hostOf(one.client)));
  if (isFar === isLoopback(hostOf(client)))
    throw new Error(
      `${peer} would be at ${client}, which the others do not reach; start it with --listen and an address that they do`,
    );
}
