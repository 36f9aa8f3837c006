import type { Anchor, AnchorRecord, PeerId } from '@podmesh/core';
import {
  type AnchorAnswer,
  AnchorBook,
  type AnchorOrder,
  type AnchorPapers,
  ClusterAdmin,
  type MeshConnection,
  type PapersRequest,
  untilOnOthers,
} from '@podmesh/jetstream';
import { isLoopback } from '@podmesh/transfer';
import { hostOf } from './anchor-place.ts';
import type { AnchorSeat } from './anchor-seat.ts';

export interface ExchangeParts {
  readonly seat: AnchorSeat;
  readonly connection: MeshConnection;
  /** A connection of the system account, to be closed. */
  readonly system: () => Promise<MeshConnection>;
  readonly order: (peer: PeerId, order: AnchorOrder) => Promise<AnchorAnswer>;
  readonly papers: (anchor: Anchor, request: PapersRequest) => Promise<AnchorPapers>;
  readonly onStep: (step: ExchangeStep) => void;
}

/** Where an exchange stands. */
export type ExchangeStep = 'reserved' | 'noted' | 'joined' | 'recorded' | 'left';

/**
 * Exchanges members of a cluster while it works: the new ones join and have everything before the record names them,
 * and nobody leaves before it does. Each step can be done again: what was noted is finished after a crash. The facts
 * themselves stay in the same cluster all the time, so there is never a second truth; a record only says where it is.
 */
export class AnchorExchange {
  readonly #parts: ExchangeParts;

  constructor(parts: ExchangeParts) {
    this.#parts = parts;
  }

  async run(join: readonly PeerId[], leave: readonly PeerId[]): Promise<AnchorRecord> {
    const { seat, order, onStep } = this.#parts;
    const { seat: at } = seat;
    if (at.kind !== 'open') throw new Error(`${seat.peer} carries no server (${at.kind})`);
    if (leave.includes(seat.peer))
      throw new Error(
        `${seat.peer} has the keys of the mesh, and looks after its anchors: it stays one`,
      );
    const { record, attempt } = at;
    const generation = Math.max(record.generation, attempt?.generation ?? 0) + 1;
    const joined: { readonly anchor: Anchor; readonly request: PapersRequest }[] = [];
    for (const peer of join) {
      const { anchor, request } = await order(peer, { kind: 'reserve', generation });
      if (anchor?.peer !== peer || request === undefined)
        throw new Error(`${peer} names no address for its server`);
      refuseUnreachable(anchor, record);
      joined.push({ anchor, request });
    }
    onStep('reserved');
    const stay = record.anchors.filter(({ peer }) => !leave.includes(peer));
    const next = { ...record, generation, anchors: [...stay, ...joined.map((one) => one.anchor)] };
    await seat.write({ kind: 'open', record, attempt: next });
    onStep('noted');
    const secret = await seat.servers.secretOf(ownServer(record, seat.peer));
    for (const { anchor, request } of joined) {
      const papers = await this.#parts.papers(anchor, request);
      const mover = seat.peer;
      await order(anchor.peer, { kind: 'join', record: next, mover, papers, secret });
    }
    return this.#finish(next);
  }

  /** After a start: what was noted is finished, if the mesh can do it now. */
  async recover(): Promise<void> {
    const { seat } = this.#parts.seat;
    if (seat.kind !== 'open' || seat.attempt === undefined) return;
    if (seat.attempt.cluster === seat.record.cluster) await this.#finish(seat.attempt);
  }

  async #finish(next: AnchorRecord): Promise<AnchorRecord> {
    const { seat, connection, system, onStep } = this.#parts;
    const own = await system();
    try {
      const admin = new ClusterAdmin(own);
      const servers = next.anchors.map(({ server }) => server);
      await admin.untilMembers(servers);
      onStep('joined');
      await new AnchorBook(connection).write(next);
      const { seat: at } = seat;
      const before = at.kind === 'open' ? at.record : next;
      await seat.write({ kind: 'open', record: next });
      onStep('recorded');
      await this.#dismiss(admin, before, servers);
      onStep('left');
      return next;
    } finally {
      await own.close();
    }
  }

  /** Everything moves off those that the record does not name any more; then they end. */
  async #dismiss(
    admin: ClusterAdmin,
    before: AnchorRecord,
    servers: readonly string[],
  ): Promise<void> {
    const { connection, order, seat } = this.#parts;
    for (const { server } of await admin.members()) {
      if (servers.includes(server)) continue;
      if (await admin.answers(server)) {
        await admin.evacuate(server);
        await untilOnOthers(connection, server, async () => !(await admin.answers(server)));
        const peer = before.anchors.find((one) => one.server === server)?.peer;
        const { record } = seat;
        // Who does not hear it ends by itself when it is started the next time.
        if (peer !== undefined && record !== undefined)
          await order(peer, { kind: 'leave', record }).catch(() => undefined);
      }
      await admin.remove(server);
      await connection.ensureLiveLog();
      await untilOnOthers(connection, server);
    }
  }
}

function ownServer(record: AnchorRecord, peer: PeerId): string {
  const own = record.anchors.find((anchor) => anchor.peer === peer)?.server;
  if (own === undefined) throw new Error(`${peer} is none of the anchors`);
  return own;
}

function refuseUnreachable({ peer, client }: Anchor, { anchors }: AnchorRecord): void {
  const isFar = anchors.some((one) => !isLoopback(hostOf(one.client)));
  if (isFar === isLoopback(hostOf(client)))
    throw new Error(
      `${peer} would be at ${client}, which the others do not reach; start it with --listen and an address that they do`,
    );
}
