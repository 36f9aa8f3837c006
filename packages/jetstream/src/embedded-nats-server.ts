import { type ClusterPlace, hostOf } from './anchors/cluster-lines.ts';
import { monotonicMs } from './mesh-connection.ts';
import { EmbeddedServerError } from './mesh-errors.ts';
import { findNatsServer } from './nats-server-binary.ts';
import { freePort, isFree, NatsServerFiles, serverName } from './nats-server-files.ts';
import { adoptProcess, answers, type ServerProcess, spawnServer } from './nats-server-process.ts';
import { pause } from './pause.ts';

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
  /** Of a server that is not alone on loopback; absent: it is. */
  readonly place?: ServerPlace;
  readonly onEvent?: (event: EmbeddedServerEvent) => void;
}

/** Where a server stands that others know by name and address. */
export interface ServerPlace {
  /** Never used again for another store. */
  readonly name: string;
  /** `host:port` where it listens for clients. */
  readonly client: string;
  /** That of the mesh. */
  readonly token: string;
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
 * A standalone nats-server on loopback as a child of this daemon. It outlives a daemon that is killed;
 * the next one takes it over. One that dies is started again, on the same port, so that clients
 * just reconnect.
 */
export class EmbeddedNatsServer {
  readonly #options: EmbeddedNatsServerOptions;
  readonly #files: NatsServerFiles;
  #process: ServerProcess | undefined;
  #url: string | undefined;
  #starting: Promise<void> | undefined;
  #stopped = new AbortController();

  constructor(options: EmbeddedNatsServerOptions) {
    this.#options = options;
    this.#files = new NatsServerFiles(options.directory);
  }

  /** Address with the token in it; only when started. */
  get url(): string {
    if (this.#url === undefined)
      throw new EmbeddedServerError('the embedded server is not started');
    return this.#url;
  }

  /** `host:port` where it takes clients; only when started. */
  get served(): string {
    return this.url.slice(this.url.indexOf('@') + 1);
  }

  /** What its clients show; only when started. */
  get token(): string {
    return new URL(this.url).username;
  }

  /** What it calls itself; only when started. */
  get name(): string {
    return this.#name(this.token);
  }

  get pid(): number | undefined {
    return this.#process?.pid;
  }

  /** Resolves when the server answers. Throws `EmbeddedServerError`. */
  start(): Promise<void> {
    this.#starting ??= this.#begin();
    return this.#starting;
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
    const adopted = await this.#takeOver();
    if (adopted === undefined) await this.#launch();
    else {
      this.#process = adopted;
      this.#tell({ kind: 'taken-over', pid: adopted.pid });
    }
    void this.#supervise();
  }

  /** A server of an earlier daemon that still answers to our token; one that does not answer is ended. */
  async #takeOver(): Promise<ServerProcess | undefined> {
    const { place } = this.#options;
    const [pid, port, token] = await Promise.all([
      this.#files.pid(),
      place === undefined ? this.#files.port() : portOf(place),
      this.#files.token(this.#options.place?.token),
    ]);
    if (pid === undefined || port === undefined) return undefined;
    const left = await adoptProcess(pid, this.#files.config);
    if (left === undefined) return undefined;
    const deadline = monotonicMs() + TAKE_OVER_MS;
    while (!left.hasExited && monotonicMs() < deadline) {
      if (await answers(this.#served(port), token, this.#name(token))) {
        this.#url = urlOf(this.#served(port), token);
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
    const { place } = this.#options;
    const token = await this.#files.token(place?.token);
    const port = await this.#choosePort();
    await this.#files.writeConfig(this.#served(port), token, place);
    const child = await spawnServer(path, this.#files);
    this.#process = child;
    const deadline = monotonicMs() + READY_MS;
    while (!child.hasExited && monotonicMs() < deadline && !this.#stopped.signal.aborted) {
      if (await answers(this.#served(port), token, this.#name(token))) {
        this.#url = urlOf(this.#served(port), token);
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

  #served(port: number): string {
    return `${hostOf(this.#options.place?.client ?? '127.0.0.1:0')}:${port}`;
  }

  #name(token: string): string {
    return this.#options.place?.name ?? serverName(token);
  }

  /** The remembered one, so that clients find the server again; another when it is taken. */
  async #choosePort(): Promise<number> {
    const { place } = this.#options;
    if (place !== undefined) return portOf(place);
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

const portOf = ({ client }: ServerPlace): number =>
  Number(client.slice(client.lastIndexOf(':') + 1));
const urlOf = (served: string, token: string): string => `nats://${token}@${served}`;
