import { randomBytes } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Anchor, AnchorRecord, PeerId } from '@podmesh/core';
import type { EmbeddedNatsServer } from '@podmesh/jetstream';
import { freePort } from '@podmesh/jetstream';
import { type Seat, SeatFile } from './seat-file.ts';
import { SeatServers, type SeatServersOptions } from './seat-servers.ts';

export interface AnchorSeatOptions extends SeatServersOptions {
  readonly file: string;
  readonly peer: PeerId;
  /** Where other machines reach this one. */
  readonly host: string;
  /** Of the mesh that this home is a member of; absent: it has none but its own server's. */
  readonly token?: string;
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
  #token: string | undefined;
  #reserved: Anchor | undefined;

  constructor(options: AnchorSeatOptions) {
    this.#options = options;
    this.#file = new SeatFile(options.file);
    this.servers = new SeatServers(options);
    this.#token = options.token;
  }

  get seat(): Seat {
    return this.#seat;
  }

  get peer(): PeerId {
    return this.#options.peer;
  }

  /** That of the mesh. */
  get token(): string {
    if (this.#token === undefined) throw new Error('this home knows no token of a mesh');
    return this.#token;
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
    if (this.#seat.kind === 'closed') {
      const { record, next } = this.#seat;
      await this.write({ kind: 'open', record, attempt: next });
    }
    if (this.#seat.kind === 'none' && !first) return;
    await this.serve();
    if (this.#seat.kind === 'none') {
      const server = this.#server?.name ?? '';
      const client = this.#server?.served ?? '';
      const record = { generation: 1, anchors: [{ peer: this.peer, server, client }] };
      await this.write({ kind: 'open', record });
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
  }

  /** The server of the seat's record, where its clients look for it. */
  async serve(): Promise<void> {
    const seat = this.#seat;
    if (seat.kind === 'closed') throw new Error('a closed server serves nobody');
    const record = seat.kind === 'none' ? undefined : seat.record;
    const self = record?.anchors.find(({ peer }) => peer === this.peer);
    if (record !== undefined && self === undefined) return;
    if (record?.cluster === undefined || self === undefined)
      return this.replace(this.servers.alone());
    await this.replace(this.servers.member(record, self, this.token, self.client));
  }

  /** The server of the next generation beside the one that serves, where nobody looks for it. */
  async serveBeside(record: AnchorRecord, self: Anchor): Promise<EmbeddedNatsServer> {
    const client = `127.0.0.1:${await freePort()}`;
    const server = this.servers.member(record, self, this.token, client);
    await server.start();
    return server;
  }

  /** Ends the server that runs and starts the other. */
  async replace(server: EmbeddedNatsServer): Promise<void> {
    await this.stop();
    this.#server = server;
    await server.start();
    this.#token ??= server.token;
  }

  /** Addresses for a server of the generation, the same when asked again. */
  async reserve(generation: number): Promise<Anchor> {
    const name = `${this.peer}-g${generation}-`;
    if (this.#reserved?.server.startsWith(name) === true) return this.#reserved;
    const { host } = this.#options;
    // The server that is alone keeps its port: those who were away look for it there.
    const own = this.#server?.served;
    const client = own ?? `${host}:${await freePort()}`;
    const route = `${host}:${await freePort()}`;
    const server = `${name.slice(0, 50)}${randomBytes(3).toString('hex')}`;
    this.#reserved = { peer: this.peer, server, client, route };
    return this.#reserved;
  }

  /** Starts a server that may become one of the truth's. */
  async join(record: AnchorRecord, mover: PeerId): Promise<void> {
    const self = record.anchors.find(({ peer }) => peer === this.peer);
    if (self === undefined) throw new Error(`${this.peer} is none of these anchors`);
    const seat = this.#seat;
    if (seat.kind === 'joining' && seat.record.generation === record.generation) return;
    if (seat.kind !== 'none' && seat.kind !== 'joining')
      throw new Error(`${this.peer} has a server already (${seat.kind})`);
    if (seat.kind === 'joining') await this.abandon(seat.record.generation);
    await this.servers.forget(record.generation);
    await mkdir(this.#options.folder, { recursive: true, mode: 0o700 });
    await writeFile(join(this.#options.folder, 'token'), this.token, { mode: 0o600 });
    await this.write({ kind: 'joining', record, self, mover });
    await this.replace(this.servers.member(record, self, this.token, self.client));
  }

  /** Ends a server that joined for a generation that is not going to be. Nothing else is ever given up so. */
  async abandon(generation: number): Promise<void> {
    const seat = this.#seat;
    if (seat.kind !== 'joining' || seat.record.generation !== generation) return;
    await this.stop();
    await this.write({ kind: 'none' });
    await this.servers.forget(generation);
  }

  /** The generation that it joined for is the truth. */
  async confirm(record: AnchorRecord): Promise<void> {
    if (this.#seat.kind === 'joining' && this.#seat.record.generation <= record.generation)
      await this.write({ kind: 'open', record });
  }
}
