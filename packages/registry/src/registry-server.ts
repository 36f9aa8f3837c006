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
    const first = this.#create();
    try {
      await listen(first, V4, port);
    } catch (error) {
      if (!mayBeOther || !isTaken(error)) throw error;
      await listen(first, V4, 0);
    }
    this.#port = (first.address() as AddressInfo).port;
    const second = this.#create();
    // Without it "localhost" still leads here: clients try the other address.
    const isBoth = await listen(second, V6, this.#port).then(
      () => true,
      () => false,
    );
    this.#servers = isBoth ? [first, second] : [first];
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

  #create(): Server {
    const server = createServer((request, response) => {
      void this.#registry.handle(request, response);
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
