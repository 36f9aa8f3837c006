import type { ClusterPlace } from './anchors/cluster-lines.ts';
import { isLoopback, type ListenAddress, LOOPBACK } from './listen-address.ts';
import { type MeshAddress, monotonicMs } from './mesh-connection.ts';
import { EmbeddedServerError } from './mesh-errors.ts';
import { moveStore } from './move-store.ts';
import { findNatsServer } from './nats-server-binary.ts';
import { freePort, isFree, NatsServerFiles } from './nats-server-files.ts';
import { adoptProcess, answers, type ServerProcess, spawnServer } from './nats-server-process.ts';
import { pause } from './pause.ts';
import { guardAddress, type ServerGuard, serverName, type TrustedServer } from './server-guard.ts';

/** What happens to an embedded server while it should be running. */
export type EmbeddedServerEvent =
  | { readonly kind: 'taken-over'; readonly pid: number }
  | { readonly kind: 'exited'; readonly how: string; readonly lastLines: string }
  | { readonly kind: 'restarted'; readonly pid: number }
  | { readonly kind: 'restart-failed'; readonly error: Error };

export interface EmbeddedNatsServerOptions {
  /** Private directory of this server; nobody else may start one on it. */
  readonly directory: string;
  /** Where to look for the program; `process.env` of the caller. */
  readonly env: NodeJS.ProcessEnv;
  /** Of a mesh with roles; absent: one token is all that it asks for. */
  readonly trusted?: TrustedServer;
  /** Where it lets clients in; absent: on loopback. Others than this machine are let in with TLS and roles only. */
  readonly listen?: ListenAddress;
  /** Of a server that others know by name; absent: it has one of its own. */
  readonly place?: ServerPlace;
  /** Public key of the account whose data it opens for its daemon alone, by a secret that is made for it. */
  readonly closedFor?: string;
  readonly onEvent?: (event: EmbeddedServerEvent) => void;
}

/** Where a server stands that others know by name and address. */
export interface ServerPlace {
  /** Never used again for another store. */
  readonly name: string;
  /** `host:port` that clients are told of. */
  readonly advertise: string;
  readonly cluster?: ClusterPlace;
}

/** A large store takes a while to be read; a server that exits is noticed at once. */
const READY_MS = 60_000;
const TAKE_OVER_MS = 3_000;
const STOP_MS = 10_000;
const BACK_OFF_MS_MIN = 250;
const BACK_OFF_MS_MAX = 10_000;
const LINES_SHOWN = 10;

/**
 * A nats-server as a child of this daemon, alone or one of several. It outlives a daemon that is killed;
 * the next one takes it over. One that dies is started again, on the same port, so that clients
 * just reconnect.
 */
export class EmbeddedNatsServer {
  readonly #options: EmbeddedNatsServerOptions;
  readonly #files: NatsServerFiles;
  #process: ServerProcess | undefined;
  #address: MeshAddress | undefined;
  #guard: ServerGuard | undefined;
  #starting: Promise<void> | undefined;
  #stopped = new AbortController();

  constructor(options: EmbeddedNatsServerOptions) {
    this.#options = options;
    this.#files = new NatsServerFiles(options.directory);
  }

  /** How its daemon connects; only when started. */
  get address(): MeshAddress {
    if (this.#address === undefined)
      throw new EmbeddedServerError('the embedded server is not started');
    return this.#address;
  }

  /** Address for others of this user: with the token in it where there is one, without any secret where there are roles. */
  get url(): string {
    const { token, tls, servers } = this.address;
    const scheme = tls ? 'tls' : 'nats';
    return `${scheme}://${token === undefined ? '' : `${token}@`}${servers[0]}`;
  }

  /** `host:port` where this machine reaches it; only when started. */
  get served(): string {
    return this.address.servers[0] ?? '';
  }

  /** What it calls itself; only when started. */
  get name(): string {
    if (this.#guard === undefined)
      throw new EmbeddedServerError('the embedded server is not started');
    return serverName(this.#guard);
  }

  get #host(): string {
    return this.#options.listen?.host ?? LOOPBACK;
  }

  get pid(): number | undefined {
    return this.#process?.pid;
  }

  /** Resolves when the server answers. Throws `EmbeddedServerError`. */
  start(): Promise<void> {
    this.#starting ??= this.#begin();
    return this.#starting;
  }

  /** Takes new certificates, and what else its configuration says anew, without losing a client. */
  reload(): void {
    this.#process?.signal('SIGHUP');
  }

  /** Ends the server, with force after 10 s. Harmless when never started, or called twice. */
  async stop(): Promise<void> {
    this.#stopped.abort();
    await this.#starting?.catch(() => undefined);
    const running = this.#process;
    this.#process = undefined;
    if (running === undefined) return;
    running.signal('SIGTERM');
    const forced = setTimeout(() => running.signal('SIGKILL'), STOP_MS);
    await running.exited;
    clearTimeout(forced);
    await this.#files.forgetPid();
  }

  /** Ends a server that an earlier daemon left in this folder; nothing where there is none. */
  async endLeft(): Promise<void> {
    const pid = await this.#files.pid();
    const left = pid === undefined ? undefined : await adoptProcess(pid, this.#files.config);
    left?.signal('SIGKILL');
    await left?.exited;
  }

  async #begin(): Promise<void> {
    this.#stopped.signal.throwIfAborted();
    await this.#files.prepare();
    this.#guard = await this.#files.guard(this.#options);
    const adopted = await this.#takeOver();
    if (adopted === undefined) await this.#launch();
    else {
      this.#process = adopted;
      this.#tell({ kind: 'taken-over', pid: adopted.pid });
    }
    void this.#supervise();
  }

  /** A server of an earlier daemon that still lets us in; one that does not is ended. */
  async #takeOver(): Promise<ServerProcess | undefined> {
    const [pid, port] = await Promise.all([this.#files.pid(), this.#files.port()]);
    const guard = this.#guard;
    if (pid === undefined || port === undefined || guard === undefined) return undefined;
    const left = await adoptProcess(pid, this.#files.config);
    if (left === undefined) return undefined;
    const wanted = this.#options.listen?.port ?? 0;
    const isThere = await this.#files.listensAt(this.#host, wanted === 0 ? port : wanted);
    const deadline = monotonicMs() + TAKE_OVER_MS;
    while (isThere && !left.hasExited && monotonicMs() < deadline) {
      if (await answers(port, guard, this.#host)) {
        this.#address = guardAddress(guard, port, this.#host);
        return left;
      }
      await pause(100);
    }
    left.signal('SIGKILL');
    await left.exited;
    return undefined;
  }

  async #launch(): Promise<void> {
    const { path } = await findNatsServer(this.#options.env);
    const { trusted } = this.#options;
    if (!isLoopback(this.#host) && trusted?.tls === undefined)
      throw new EmbeddedServerError(`nothing but TLS and keys is let in at ${this.#host}`);
    this.#guard ??= await this.#files.guard(this.#options);
    const guard = this.#guard;
    if (trusted !== undefined) await moveStore(this.#files.store, trusted.trust.account);
    const port = await this.#choosePort();
    const { place } = this.#options;
    await this.#files.writeConfig({ host: this.#host, port, guard, place });
    const child = await spawnServer(path, this.#files);
    this.#process = child;
    const deadline = monotonicMs() + READY_MS;
    while (!child.hasExited && monotonicMs() < deadline && !this.#stopped.signal.aborted) {
      if (await answers(port, guard, this.#host)) {
        this.#address = guardAddress(guard, port, this.#host);
        return;
      }
      await pause(25, this.#stopped.signal);
    }
    child.signal('SIGKILL');
    const how = await child.exited;
    this.#process = undefined;
    const lines = await this.#files.lastLines(LINES_SHOWN);
    throw new EmbeddedServerError(`nats-server did not start (${how}); it said last:\n${lines}`);
  }

  /** The remembered one, so that clients find the server again; another when it is taken. */
  async #choosePort(): Promise<number> {
    const wanted = this.#options.listen?.port ?? 0;
    if (wanted !== 0) {
      // The port of a store that is closed stays where its clients are going to look for it again.
      if (this.#options.closedFor === undefined) await this.#files.rememberPort(wanted);
      return wanted;
    }
    const remembered = await this.#files.port();
    if (remembered !== undefined && (await isFree(remembered))) return remembered;
    const port = await freePort();
    await this.#files.rememberPort(port);
    return port;
  }

  /** Starts the server again whenever it ends without being told to. */
  async #supervise(): Promise<void> {
    let backOffMs = BACK_OFF_MS_MIN;
    const { signal } = this.#stopped;
    while (!signal.aborted) {
      const running = this.#process;
      const since = monotonicMs();
      const how = (await running?.exited) ?? 'it could not be started';
      if (signal.aborted) return;
      if (running !== undefined)
        this.#tell({ kind: 'exited', how, lastLines: await this.#files.lastLines(LINES_SHOWN) });
      if (monotonicMs() - since > BACK_OFF_MS_MAX) backOffMs = BACK_OFF_MS_MIN;
      await pause(backOffMs, signal);
      backOffMs = Math.min(backOffMs * 2, BACK_OFF_MS_MAX);
      if (signal.aborted) return;
      this.#starting = this.#relaunch();
      await this.#starting;
    }
  }

  async #relaunch(): Promise<void> {
    this.#process = undefined;
    try {
      await this.#launch();
      const { pid } = this;
      if (pid !== undefined) this.#tell({ kind: 'restarted', pid });
    } catch (error) {
      if (!this.#stopped.signal.aborted && error instanceof Error)
        this.#tell({ kind: 'restart-failed', error });
    }
  }

  #tell(event: EmbeddedServerEvent): void {
    this.#options.onEvent?.(event);
  }
}
