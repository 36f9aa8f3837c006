import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Registry } from './registry.ts';
import { CONNECTIONS_MAX, HEADERS_MS, UPLOAD_SWEEP_MS } from './registry-limits.ts';
import type { RegistryParts } from './registry-parts.ts';

export interface RegistryServerOptions {
  /** 0: any that is free. */
  readonly port: number;
  /** Takes any that is free when that one is taken; else the start fails. */
  readonly mayBeOther: boolean;
}

const V4 = '127.0.0.1';
const V6 = '::1';

/** Serves images to programs of this machine: on loopback, and nowhere else. */
export class RegistryServer {
  readonly #registry: Registry;
  readonly #options: RegistryServerOptions;
  #servers: readonly Server[] = [];
  #sweeps: NodeJS.Timeout | undefined;
  #port = 0;

  constructor(parts: RegistryParts, options: RegistryServerOptions) {
    this.#registry = new Registry(parts);
    this.#options = options;
  }

  /** Of 127.0.0.1, and of ::1 where that could be had; 0 while it does not run. */
  get port(): number {
    return this.#port;
  }

  /** Throws when the port cannot be had. Harmless when it runs. */
  async start(): Promise<void> {
    if (this.#servers.length > 0) return;
    const { port, mayBeOther } = this.#options;
    try {
      await this.#listen(port);
    } catch (error) {
      if (!mayBeOther || !isTaken(error)) throw error;
      await this.#listen(0);
    }
    this.#sweeps = setInterval(() => {
      this.#registry.sessions.sweep().catch(() => undefined);
    }, UPLOAD_SWEEP_MS).unref();
  }

  /** Ends what is under way; unfinished uploads are gone. Harmless when never started, or twice. */
  async stop(): Promise<void> {
    clearInterval(this.#sweeps);
    const servers = this.#servers;
    this.#servers = [];
    this.#port = 0;
    await Promise.all(
      servers.map(async (server) => {
        const closed = once(server, 'close');
        server.close();
        server.closeAllConnections();
        await closed;
      }),
    );
    await this.#registry.sessions.endAll();
  }

  /** On both addresses that "localhost" means, or on one where the machine has no other; never beside a stranger. */
  async #listen(wanted: number): Promise<void> {
    const first = this.#create();
    await listen(first, V4, wanted);
    const { port } = first.address() as AddressInfo;
    const second = this.#create();
    try {
      await listen(second, V6, port);
      this.#servers = [first, second];
    } catch (error) {
      if (isTaken(error)) {
        first.close();
        throw error;
      }
      this.#servers = [first];
    }
    this.#port = port;
  }

  #create(): Server {
    const server = createServer((request, response) => {
      this.#registry.handle(request, response).catch(() => response.destroy());
    });
    server.maxConnections = CONNECTIONS_MAX;
    server.headersTimeout = HEADERS_MS;
    // A large layer takes as long as it takes; who falls silent is hung up on.
    server.requestTimeout = 0;
    return server;
  }
}

async function listen(server: Server, host: string, port: number): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host, port, exclusive: true }, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

function isTaken(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'EADDRINUSE';
}
