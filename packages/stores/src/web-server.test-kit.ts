import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

type Answer = (request: IncomingMessage, response: ServerResponse) => void;

/** A web server that answers as the test says, and remembers what it was asked. */
export class WebServer {
  readonly requests: IncomingMessage[] = [];
  answer: Answer = (_, response) => response.writeHead(404).end();
  readonly #server: Server;

  private constructor() {
    this.#server = createServer((request, response) => {
      this.requests.push(request);
      this.answer(request, response);
    });
  }

  static async start(): Promise<WebServer> {
    const started = new WebServer();
    started.#server.listen(0, '127.0.0.1');
    await once(started.#server, 'listening');
    return started;
  }

  /** `host`: another name of the same machine is another host for a client. */
  url(path: string, host = '127.0.0.1'): string {
    const { port } = this.#server.address() as AddressInfo;
    return `http://${host}:${port}${path}`;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }
}

/** Serves bytes with ranges and an entity tag, as good servers do; `until`: cuts the connection behind that byte. */
export function serve(
  bytes: Buffer,
  {
    etag,
    until = bytes.length,
    ranges = true,
  }: { etag?: string; until?: number; ranges?: boolean },
): Answer {
  return (request, response) => {
    const [, asked] = /^bytes=(\d+)-$/.exec(request.headers.range ?? '') ?? [];
    const ifRange = request.headers['if-range'];
    const isRange = ranges && asked !== undefined && (ifRange === undefined || ifRange === etag);
    const start = isRange ? Number(asked) : 0;
    response.writeHead(isRange ? 206 : 200, {
      'content-length': bytes.length - start,
      ...(etag === undefined ? {} : { etag }),
      ...(isRange ? { 'content-range': `bytes ${start}-${bytes.length - 1}/${bytes.length}` } : {}),
    });
    if (until >= bytes.length) response.end(bytes.subarray(start));
    else response.write(bytes.subarray(start, until), () => response.destroy());
  };
}
