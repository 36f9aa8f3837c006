import { performance } from 'node:perf_hooks';
import { type JetStreamClient, type JetStreamManager, jetstreamManager } from '@nats-io/jetstream';
import type { Msg, MsgHdrs, NatsConnection } from '@nats-io/transport-node';
import { MeshSilentError } from './mesh-errors.ts';
import { ensureLiveLog, ensureStreams, findStreams } from './mesh-streams.ts';
import { onAbort } from './on-abort.ts';
import { untilPlaces } from './until-places.ts';
import type { EnsureStreamsOptions } from './wanted-streams.ts';

/** What happens to a connection, for logs and loops; `closed` is the end of it. */
export type MeshStatus =
  | { readonly kind: 'connected'; readonly server: string }
  | { readonly kind: 'disconnected'; readonly server: string }
  | { readonly kind: 'trouble'; readonly message: string }
  | { readonly kind: 'closed' };

/** Where to connect, credentials apart from addresses so that no message can show them. */
export interface MeshAddress {
  /** `host:port` each, without credentials. */
  readonly servers: readonly string[];
  readonly tls: boolean;
  readonly token?: string;
  readonly user?: string;
  readonly pass?: string;
  /** Of a member of a mesh with roles. */
  readonly member?: MeshMember;
  /** PEM texts; whoever has the CA speaks TLS and trusts nobody else. */
  readonly certificates?: MeshCertificates;
}

/** Who connects, and how it proves so. */
export interface MeshMember {
  /** The name in the credentials: subjects of its own are made of it. */
  readonly name: string;
  /** An anchor makes streams and tidies them; nobody else may. */
  readonly role: 'peer' | 'user' | 'anchor' | 'system';
  /** Text of a `.creds` file. */
  readonly credentials: string;
}

export interface MeshCertificates {
  readonly ca: string;
  readonly certificate?: string;
  readonly key?: string;
}

/** One request's time; a busy 3-server mesh answers late after an election (NATS.md §0.6). */
const REQUEST_MS = 5_000;

/**
 * A connection to the mesh that reconnects for ever. The NATS objects in it are for the adapters of
 * this package only: nobody else may use them.
 */
export class MeshConnection {
  readonly nc: NatsConnection;
  readonly js: JetStreamClient;
  readonly jsm: JetStreamManager;
  #address: MeshAddress;
  readonly #given: readonly string[];
  #connected = true;
  readonly #inFlight = new Set<(error: MeshSilentError) => void>();
  readonly #listeners = new Set<(status: MeshStatus) => void>();
  readonly #serverListeners = new Set<(servers: readonly string[]) => void>();

  private constructor(nc: NatsConnection, jsm: JetStreamManager, address: MeshAddress) {
    this.nc = nc;
    // From the manager, so that buckets are opened without asking the server first.
    this.js = jsm.jetstream();
    this.jsm = jsm;
    this.#address = address;
    this.#given = address.servers;
    void this.#watch();
  }

  static async over(nc: NatsConnection, address: MeshAddress): Promise<MeshConnection> {
    const jsm = await jetstreamManager(nc, { checkAPI: false, timeout: REQUEST_MS });
    return new MeshConnection(nc, jsm, address);
  }

  /** Where it connects; servers come and go while the mesh is changed. */
  get address(): MeshAddress {
    return this.#address;
  }

  /**
   * From the next time it connects, any of these will do, `host:port` each, and those it was given at first: behind a
   * tunnel they may be the only ones that it reaches.
   */
  useServers(servers: readonly string[]): void {
    if (this.nc.isClosed()) return;
    const all = [...new Set([...servers, ...this.#given])];
    this.#address = { ...this.#address, servers: all };
    this.nc.setServers(all);
    for (const listener of [...this.#serverListeners]) listener(all);
  }

  /** Calls `listener` with the servers whenever others are to be used, until the returned function is called. */
  onServers(listener: (servers: readonly string[]) => void): () => void {
    this.#serverListeners.add(listener);
    return () => this.#serverListeners.delete(listener);
  }

  /** `host:port` of the server that it is connected with, or was last. */
  get server(): string {
    return this.nc.getServer();
  }

  /** Address without credentials, for messages. */
  get url(): string {
    return shownUrl(this.address);
  }

  /** Own name in a mesh with roles. */
  get member(): string | undefined {
    return this.address.member?.name;
  }

  /** Whether streams may be made, and messages removed: without roles everybody may. */
  get isKeeper(): boolean {
    const { member } = this.address;
    return member === undefined || member.role === 'anchor';
  }

  /** Bytes of the largest message the server takes, headers included. */
  get messageBytesMax(): number {
    return this.nc.info?.max_payload ?? 1024 * 1024;
  }

  get isConnected(): boolean {
    return this.#connected;
  }

  get isClosed(): boolean {
    return this.nc.isClosed();
  }

  /** Calls `listener` on each change until the returned function is called. Must not throw. */
  onStatus(listener: (status: MeshStatus) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Makes the stream of live output again when its only server is gone; `replicas`: 1 on a server that is alone. */
  async ensureLiveLog(replicas: 1 | 3 = 3): Promise<void> {
    await ensureLiveLog(this.jsm, replicas);
  }

  /** Resolves when the servers take streams with so many replicas. */
  untilPlaces(replicas: number): Promise<void> {
    return untilPlaces(this.jsm, replicas);
  }

  /**
   * Creates what is missing, where this connection may, and verifies what is there; called once by each daemon, safe at
   * any time. Without the right to, it waits a while for whoever has it.
   */
  async ensureStreams(options: EnsureStreamsOptions): Promise<void> {
    await (this.isKeeper ? ensureStreams(this.jsm, options) : findStreams(this.jsm, options));
  }

  /** Resolves when connected; throws a retryable error after `waitMs`, when closed, or when the signal aborts. */
  async untilConnected(waitMs: number, signal?: AbortSignal): Promise<void> {
    if (this.nc.isClosed()) throw new MeshSilentError(`connection to ${this.url} is closed`);
    if (this.#connected) return;
    await new Promise<void>((resolve, reject) => {
      const end = (error?: MeshSilentError): void => {
        clearTimeout(timer);
        forget();
        ignoreAbort();
        if (error === undefined) resolve();
        else reject(error);
      };
      const fail = (): void => end(new MeshSilentError(`not connected to ${this.url}`));
      const timer = setTimeout(fail, Math.max(0, waitMs));
      const forget = this.onStatus((status) => {
        if (status.kind === 'connected') end();
        if (status.kind === 'closed') fail();
      });
      const ignoreAbort = onAbort(signal, () => setImmediate(fail));
    });
  }

  /**
   * A request that fails at once, retryably, when there is no connection or it breaks: the client
   * alone would keep it, send it after a reconnect, and let us wait for the whole timeout.
   */
  request(
    subject: string,
    payload: Uint8Array | string,
    options: {
      readonly timeoutMs: number;
      readonly headers?: MsgHdrs;
      /** Where the answer comes, if it is a peer that answers and not the server. */
      readonly reply?: string;
    },
  ): Promise<Msg> {
    if (!this.#connected)
      return Promise.reject(new MeshSilentError(`not connected to ${this.url}`));
    const { timeoutMs, headers, reply } = options;
    return new Promise((resolve, reject) => {
      this.#inFlight.add(reject);
      this.nc
        .request(subject, payload, {
          timeout: timeoutMs,
          ...(headers === undefined ? {} : { headers }),
          ...(reply === undefined ? {} : { reply, noMux: true }),
        })
        .then(resolve, reject)
        .finally(() => this.#inFlight.delete(reject));
    });
  }

  /** Sends what is waiting, for at most `flushMs`, and closes. Harmless when called twice. */
  async close(flushMs = 1_000): Promise<void> {
    if (this.nc.isClosed()) return;
    if (this.#connected) {
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<void>((resolve) => {
        timer = setTimeout(resolve, flushMs);
      });
      await Promise.race([this.nc.flush().catch(() => undefined), late]);
      clearTimeout(timer);
    }
    await this.nc.close();
  }

  async #watch(): Promise<void> {
    for await (const status of this.nc.status()) {
      if (status.type === 'disconnect') this.#tell({ kind: 'disconnected', server: status.server });
      else if (status.type === 'reconnect')
        this.#tell({ kind: 'connected', server: status.server });
      else if (status.type === 'error')
        this.#tell({ kind: 'trouble', message: status.error.message });
      else if (status.type === 'slowConsumer')
        this.#tell({ kind: 'trouble', message: 'the server found us too slow to read' });
    }
    this.#tell({ kind: 'closed' });
  }

  #tell(status: MeshStatus): void {
    if (status.kind === 'connected') this.#connected = true;
    if (status.kind === 'disconnected' || status.kind === 'closed') this.#connected = false;
    if (!this.#connected)
      for (const reject of this.#inFlight) reject(new MeshSilentError('connection lost'));
    for (const listener of [...this.#listeners]) listener(status);
  }
}

/** The addresses as a person would type them, without credentials. */
export function shownUrl(address: MeshAddress): string {
  const scheme = address.tls ? 'tls' : 'nats';
  return address.servers.map((server) => `${scheme}://${server}`).join(',');
}

/** Milliseconds that only go forward; for deadlines. */
export const monotonicMs = (): number => performance.now();
