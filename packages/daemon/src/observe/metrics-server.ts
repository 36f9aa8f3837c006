import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';

/** What is said at `/metrics`. */
export interface Exposition {
  readonly contentType: string;
  metrics(): Promise<string>;
}

/** Scrapers at the same time. */
const CONNECTIONS_MAX = 16;
const HEAD_BYTES_MAX = 8 * 1024;
const REQUEST_MS = 10_000;
/** Names of this machine by which loopback is asked; a page of the web that comes by another name is refused. */
const HOST = /^(localhost|127\.0\.0\.1|\[::1\])(:\d{1,5})?$/i;

/** The port that was asked for cannot be had. */
class MetricsPortError extends Error {
  constructor(port: number, cause: unknown) {
    const what = cause instanceof Error ? cause.message : String(cause);
    super(`cannot tell metrics on port ${port}: ${what}; give another with --metrics-port`, {
      cause,
    });
  }
}

/** Tells metrics to programs of this machine, and to nobody else: it listens on loopback only. */
export class MetricsServer {
  readonly #exposition: Exposition;
  readonly #server: Server;

  constructor(exposition: Exposition) {
    this.#exposition = exposition;
    const limits = { maxHeaderSize: HEAD_BYTES_MAX, requestTimeout: REQUEST_MS };
    this.#server = createServer(
      limits,
      (request, response) => void this.#answer(request, response),
    );
    this.#server.maxConnections = CONNECTIONS_MAX;
  }

  /** The port it listens on; 0: any that is free. Throws a sentence when it cannot be had. */
  async start(port: number): Promise<number> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', (error) => reject(new MetricsPortError(port, error)));
      this.#server.listen({ host: '127.0.0.1', port }, resolve);
    });
    const address = this.#server.address();
    return typeof address === 'object' && address !== null ? address.port : port;
  }

  /** Harmless when never started, or twice. */
  async stop(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
  }

  async #answer(
    { method, url, headers }: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    const refuse = (status: number, text: string): void => {
      response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8' }).end(`${text}\n`);
    };
    if (!HOST.test(headers.host ?? '')) return refuse(403, 'ask by the name localhost');
    if (method !== 'GET') return refuse(405, 'only GET is answered');
    if (url?.split('?')[0] !== '/metrics') return refuse(404, 'metrics are at /metrics');
    try {
      const text = await this.#exposition.metrics();
      response.writeHead(200, { 'content-type': this.#exposition.contentType }).end(text);
    } catch (error) {
      refuse(500, error instanceof Error ? error.message : String(error));
    }
  }
}
