import { dialMesh } from './connect-mesh.ts';
import type { MeshAddress, MeshConnection } from './mesh-connection.ts';
import { MeshSilentError } from './mesh-errors.ts';
import { pause } from './pause.ts';
import { unlessAborted } from './unless-aborted.ts';

export interface RelayConnectionOptions {
  /** Name in the server's monitoring. */
  readonly name?: string;
  /** How long an unused connection is kept. */
  readonly idleMs?: number;
}

const IDLE_MS = 60_000;
/** How long a connection that is being made, or made again, is waited for. */
const REACH_MS = 5_000;

/**
 * The connection that bulk goes through: never the one of control messages, which would wait behind it.
 * Made when first needed, and closed when nobody needed it for a while.
 */
export class RelayConnection {
  readonly #address: () => MeshAddress;
  readonly #name: string;
  readonly #idleMs: number;
  #opening: Promise<MeshConnection> | undefined;
  #open: MeshConnection | undefined;
  #users = 0;
  #idle: NodeJS.Timeout | undefined;
  #stopped = false;

  constructor(address: () => MeshAddress, options: RelayConnectionOptions = {}) {
    this.#address = address;
    this.#name = options.name ?? 'podmesh-relay';
    this.#idleMs = options.idleMs ?? IDLE_MS;
  }

  /** Whether there is a connection now. */
  get isOpen(): boolean {
    return this.#open !== undefined;
  }

  /** Rejects with a retryable `PortError` where there is no connection to be had, and with the signal's reason. */
  async use<T>(signal: AbortSignal, work: (connection: MeshConnection) => Promise<T>): Promise<T> {
    signal.throwIfAborted();
    this.#users += 1;
    clearTimeout(this.#idle);
    try {
      const connection = await unlessAborted(this.#connection(), signal);
      await unlessAborted(connection.untilConnected(REACH_MS, signal), signal);
      return await work(connection);
    } finally {
      this.#users -= 1;
      if (this.#users === 0) this.#closeLater();
    }
  }

  /** Harmless when never used, or called twice; nothing can be used afterwards. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#close();
  }

  /** Callers that come while it is being made share it. */
  #connection(): Promise<MeshConnection> {
    if (this.#stopped) return Promise.reject(new MeshSilentError('the relay is stopped'));
    if (this.#open?.isClosed === true) this.#forget();
    if (this.#opening !== undefined) return this.#opening;
    const opening = dialMesh(this.#address(), this.#name, REACH_MS);
    this.#opening = opening;
    const isCurrent = (): boolean => this.#opening === opening;
    opening.then(
      (connection) => {
        if (isCurrent()) this.#open = connection;
      },
      () => {
        if (isCurrent()) this.#forget();
      },
    );
    return opening;
  }

  #forget(): void {
    this.#opening = undefined;
    this.#open = undefined;
  }

  #closeLater(): void {
    this.#idle = setTimeout(() => void this.#close(), this.#idleMs);
    this.#idle.unref();
  }

  async #close(): Promise<void> {
    clearTimeout(this.#idle);
    const opening = this.#opening;
    this.#forget();
    const connection = await opening?.catch(() => undefined);
    await connection?.close();
  }
}

/** Resolves when the server has all that was sent, or cannot be asked within `ms`. Never rejects. */
export async function flushed(connection: MeshConnection, ms: number): Promise<void> {
  const late = new AbortController();
  // The client rejects it when the connection breaks.
  const sent = connection.nc.flush().catch(() => undefined);
  await Promise.race([sent, pause(ms, late.signal)]);
  late.abort();
}
