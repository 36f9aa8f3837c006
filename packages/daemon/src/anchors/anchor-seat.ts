import { randomBytes } from 'node:crypto';
import { credentialsText, NatsKey, newRequest } from '@podmesh/authority';
import type { Anchor, AnchorRecord, PeerId } from '@podmesh/core';
import type { AnchorOrder, EmbeddedNatsServer, PapersRequest } from '@podmesh/jetstream';
import { isLoopback, isWildcard, ownAddresses } from '@podmesh/transfer';
import { choosePort, hostOf, ownAddressTowards, placeOf, portOf } from './anchor-place.ts';
import { leftGenerations } from './left-folders.ts';
import { isRescued } from './rescue-step.ts';
import { type Seat, SeatFile } from './seat-file.ts';
import { SeatServers, type SeatServersOptions } from './seat-servers.ts';

export interface AnchorSeatOptions extends SeatServersOptions {
  readonly file: string;
  readonly peer: PeerId;
  /** What the mesh's record is now where another mesh than this one's is found in its place. */
  readonly supersededBy: (record: AnchorRecord) => Promise<AnchorRecord | undefined>;
  /** This home carries nothing any more: what it had for that is to be forgotten. */
  readonly onNone?: () => Promise<void>;
  /** Hears of each generation whose folder was left here, and is gone now. */
  readonly onForgotten?: (generation: number) => void;
  /** Hears where something is kept that may be more than the mesh has since a rescue. */
  readonly onKept?: (folder: string) => void;
}

type JoinOrder = Extract<AnchorOrder, { kind: 'join' }>;

/** What a peer made for a server that it may run, until it gets papers for it. */
interface Reservation {
  readonly anchor: Anchor;
  readonly keys: { readonly anchor: NatsKey; readonly system: NatsKey };
  readonly serverKey: string;
  readonly request: PapersRequest;
}

/**
 * The server of this home, as its seat says. The seat alone decides which server may serve: a crash anywhere leaves it as
 * it was, or as it was to become.
 */
export class AnchorSeat {
  readonly servers: SeatServers;
  readonly #options: AnchorSeatOptions;
  readonly #file: SeatFile;
  #seat: Seat = { kind: 'none' };
  #server: EmbeddedNatsServer | undefined;
  #reserved: Reservation | undefined;

  constructor(options: AnchorSeatOptions) {
    this.#options = options;
    this.#file = new SeatFile(options.file);
    this.servers = new SeatServers(options);
  }

  get seat(): Seat {
    return this.#seat;
  }

  get peer(): PeerId {
    return this.#options.peer;
  }

  /** What this home carries, or is about to: undefined where it carries nothing that is known to be the truth. */
  get record(): AnchorRecord | undefined {
    const { kind } = this.#seat;
    return kind === 'open' || kind === 'moved' || kind === 'gathered'
      ? this.#seat.record
      : undefined;
  }

  /** The server that runs now, for this daemon alone: others follow the record. */
  get server(): EmbeddedNatsServer | undefined {
    return this.#server;
  }

  /**
   * Starts what the seat says; `first`: a home without a seat begins a mesh of its own. What was closed for a move that
   * did not come to its end is opened again: nobody was told of the other.
   */
  async start(first: boolean): Promise<void> {
    this.#seat = await this.#file.read();
    const isNew = first && this.#seat.kind === 'none';
    if (this.#seat.kind === 'closed') {
      const { record, next } = this.#seat;
      await this.write({ kind: 'open', record, attempt: next });
    }
    if (this.#seat.kind === 'rescuing') return;
    // What the helper of an earlier rescue knew must never take part in another.
    await this.servers.forgetHelper();
    if (this.#seat.kind === 'gathered') return this.standAlone();
    const known = await this.#newest();
    // Whoever is none of them any more may have what the others do not have yet: that is asked later.
    if (known !== undefined) await this.confirm(known);
    await this.#forgetLeft();
    if (this.#seat.kind === 'none' && !isNew) return;
    await this.serve();
    const seat = this.#seat;
    if (seat.kind === 'none' || (seat.kind === 'open' && seat.record.cluster === undefined)) {
      // Where it lets clients in may have been changed since it was written.
      const record = { generation: 1, ...(seat.kind === 'open' ? seat.record : {}) };
      const anchors = [this.#alone()];
      if (JSON.stringify(record.anchors) !== JSON.stringify(anchors))
        await this.write({ ...seat, kind: 'open', record: { ...record, anchors } });
    }
  }

  /** What a daemon left that was killed before it could take it away. */
  async #forgetLeft(): Promise<void> {
    const { folder, peer, onForgotten, onNone } = this.#options;
    const seat = (await this.#file.isThere()) ? this.#seat : undefined;
    if (seat?.kind === 'none') await onNone?.();
    for (const generation of await leftGenerations({ folder, peer, seat })) {
      await this.servers.forget(generation);
      onForgotten?.(generation);
    }
  }

  async stop(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    await server?.stop();
  }

  /** On the disk before it returns. */
  async write(seat: Seat): Promise<void> {
    await this.#file.write(seat);
    this.#seat = seat;
    if (seat.kind === 'none') await this.#options.onNone?.();
  }

  /** The server of the seat's record, where its clients look for it. */
  async serve(): Promise<void> {
    const seat = this.#seat;
    if (seat.kind === 'closed' || seat.kind === 'rescuing')
      throw new Error(`a ${seat.kind} server serves nobody`);
    if (seat.kind === 'gathered') return this.standAlone();
    const record = seat.kind === 'none' ? undefined : seat.record;
    const self = record?.anchors.find(({ peer }) => peer === this.peer);
    if (record?.cluster === undefined) {
      // Of this home, whatever its peer was called when the record was written.
      await this.replace(await this.servers.alone());
    } else if (self !== undefined) {
      await this.replace(await this.servers.member(record, self));
    }
  }

  /** What a cluster had is served by the server that is alone, where clients looked for the other. */
  async standAlone(): Promise<void> {
    const seat = this.#seat;
    if (seat.kind !== 'gathered') return;
    const { record, store } = seat;
    await this.stop();
    await this.servers.takeStore(store);
    await this.replace(await this.servers.alone(record.anchors[0]?.client));
    await this.write({ kind: 'open', record: { ...record, anchors: [this.#alone()] } });
    await this.servers.forgetServer(store);
  }

  /** The server of the next generation beside the one that serves, where nobody looks for it. */
  async serveBeside(record: AnchorRecord, self: Anchor): Promise<EmbeddedNatsServer> {
    const server = await this.servers.member(record, self, true);
    await server.start();
    return server;
  }

  /** Ends the server that runs and starts the other. */
  async replace(server: EmbeddedNatsServer): Promise<void> {
    await this.stop();
    this.#server = server;
    await server.start();
  }

  /**
   * Addresses and keys for a server of the generation, the same when asked again. `reached`: where others, or this peer
   * itself, reach the mesh now.
   */
  async reserve(
    generation: number,
    reached: string,
  ): Promise<Pick<Reservation, 'anchor' | 'request'>> {
    const name = `${this.peer.slice(0, 40)}-g${generation}-`;
    if (this.#reserved?.anchor.server.startsWith(name) === true) return this.#reserved;
    // The server that is alone keeps its port: those who were away look for it there.
    const own = this.#seat.kind === 'open' ? this.#server?.served : undefined;
    const host = own === undefined ? await this.#hostFor(reached) : hostOf(reached);
    const bound = this.servers.bindHost(host);
    const { listen } = this.#options;
    const free = listen.port === 0 ? await choosePort(bound, 'client') : listen.port;
    const anchor = {
      peer: this.peer,
      server: `${name}${randomBytes(3).toString('hex')}`,
      client: placeOf(host, own === undefined ? free : portOf(own)),
      route: placeOf(host, await choosePort(bound, 'route')),
    };
    const keys = { anchor: NatsKey.create('user'), system: NatsKey.create('user') };
    const { request: server, key: serverKey } = await newRequest(this.peer);
    const publicKeys = { anchor: keys.anchor.publicText, system: keys.system.publicText };
    this.#reserved = { anchor, keys, serverKey, request: { server, keys: publicKeys } };
    return this.#reserved;
  }

  /** What its server needs of what the authority gave; before a seat speaks of it. */
  async accept({ papers, secret }: Pick<JoinOrder, 'papers' | 'secret'>, self: Anchor) {
    const reserved = this.#reserved;
    if (reserved?.anchor.server !== self.server)
      throw new Error(`${this.peer} has reserved nothing for ${self.server}`);
    const { tokens, trust, serverCertificate: certificate } = papers;
    await this.servers.prepare(self.server, secret, {
      anchor: credentialsText(tokens.anchor, reserved.keys.anchor),
      system: credentialsText(tokens.system, reserved.keys.system),
    });
    const { mesh } = this.#options;
    await mesh.setTrust(trust);
    await mesh.setServerCertificate({ certificate, key: reserved.serverKey });
  }

  /** Starts a server that may become one of the truth's. */
  async join({ record, mover, papers, secret }: JoinOrder): Promise<void> {
    const self = record.anchors.find(({ peer }) => peer === this.peer);
    if (self === undefined) throw new Error(`${this.peer} is none of these anchors`);
    const seat = this.#seat;
    if (seat.kind === 'joining' && seat.record.cluster === record.cluster) return;
    if (seat.kind === 'open' && seat.record.cluster === record.cluster)
      throw new Error(
        `the server that ${this.peer} had before is still being taken out of the cluster: ask again in some minutes`,
      );
    if (seat.kind !== 'none' && seat.kind !== 'joining')
      throw new Error(`${this.peer} has a server already (${seat.kind})`);
    if (seat.kind === 'joining') await this.abandon(seat.record.generation);
    await this.accept({ papers, secret }, self);
    await this.write({ kind: 'joining', record, self, mover });
    await this.replace(await this.servers.member(record, self));
  }

  /** Ends a server that joined for a generation that is not going to be. Nothing else is ever given up so. */
  async abandon(generation: number): Promise<void> {
    const seat = this.#seat;
    if (seat.kind !== 'joining' || seat.record.generation !== generation) return;
    await this.stop();
    await this.write({ kind: 'none' });
    await this.servers.forget(generation);
  }

  /** This record is the truth: the server that joined is one of those that carry the mesh, was one, or is for nothing. */
  async confirm(record: AnchorRecord, mayLeave = false): Promise<void> {
    const seat = this.#seat;
    if (seat.kind === 'open' && seat.record.cluster === record.cluster)
      await this.#follow(seat, record, mayLeave);
    else if (seat.kind === 'open' && isOver(seat.record, record))
      await this.#leaveFor(record, seat.record);
    if (seat.kind !== 'joining' || seat.record.generation > record.generation) return;
    const isOne = record.anchors.some(({ server }) => server === seat.self.server);
    const isInCluster = record.cluster !== undefined && record.cluster === seat.record.cluster;
    if (!isOne && !isInCluster) {
      // It may have been one of them for a while without hearing of it.
      if (isRescued(seat.record, record)) return this.#leaveFor(record, seat.record);
      return this.abandon(seat.record.generation);
    }
    await this.servers.adoptCredentials(seat.self.server);
    if (isOne) return this.write({ kind: 'open', record });
    // It may have been one of them in between, and still have what nobody else has, or be a voter that is counted although
    // its exchange was undone: it goes as whoever was dismissed does, which takes it out of the cluster before.
    const generation = Math.min(seat.record.generation, record.generation - 1);
    await this.write({ kind: 'open', record: { ...seat.record, generation } });
    if (mayLeave) await this.confirm(record, true);
  }

  /** The same cluster has other members; whoever is none of them any more ends its server, once all is elsewhere. */
  async #follow(
    seat: Extract<Seat, { kind: 'open' }>,
    record: AnchorRecord,
    mayLeave: boolean,
  ): Promise<void> {
    const isNewer = record.cluster !== undefined && record.generation > seat.record.generation;
    if (!isNewer || seat.attempt !== undefined) return;
    const self = seat.record.anchors.find(({ peer }) => peer === this.peer);
    if (self === undefined || record.anchors.some(({ server }) => server === self.server))
      return this.write({ kind: 'open', record });
    if (mayLeave) await this.#leave(seat.record);
  }

  /** Another truth stands in the place of its cluster's. */
  async #leaveFor(record: AnchorRecord, own: AnchorRecord): Promise<void> {
    if (!isRescued(own, record)) return this.#leave(own);
    // Killed in the middle, it must find again why.
    await this.#options.mesh.setAnchors(record);
    await this.keepAside(own);
  }

  /** Serves nothing any more, and forgets nothing. */
  async keepAside({ anchors }: AnchorRecord): Promise<string | undefined> {
    const self = anchors.find(({ peer }) => peer === this.peer);
    await this.stop();
    const kept = self && (await this.servers.setAside(self.server));
    await this.write({ kind: 'none' });
    if (kept !== undefined) this.#options.onKept?.(kept);
    return kept;
  }

  async #leave({ anchors }: AnchorRecord): Promise<void> {
    const self = anchors.find(({ peer }) => peer === this.peer);
    await this.stop();
    await this.write({ kind: 'none' });
    if (self !== undefined) await this.servers.forgetServer(self.server);
  }

  /** Whoever was away while its cluster came to its end must not begin it again: the others are asked first. */
  async #newest(): Promise<AnchorRecord | undefined> {
    const { mesh, supersededBy } = this.#options;
    const seat = this.#seat;
    const newer = seat.kind === 'open' ? await supersededBy(seat.record) : undefined;
    if (newer !== undefined) await mesh.setAnchors(newer);
    return mesh.anchors();
  }

  /** Where the others find this machine. */
  async #hostFor(reached: string): Promise<string> {
    const { host } = this.#options.listen;
    return isWildcard(host) || isLoopback(host) ? ownAddressTowards(reached) : host;
  }

  /** The server that is alone, as others find it. */
  #alone(): Anchor {
    const server = this.#server;
    if (server === undefined) throw new Error('the server does not run');
    const { host } = this.#options.listen;
    const [first] = isWildcard(host) ? ownAddresses() : [];
    const client = placeOf(first ?? hostOf(server.served), portOf(server.served));
    return { peer: this.peer, server: server.name, client };
  }
}

/** Another cluster, or one server alone, has all that this one had: it is never served again. */
const isOver = (own: AnchorRecord, record: AnchorRecord): boolean =>
  own.cluster !== undefined && own.cluster !== record.cluster && record.generation > own.generation;
