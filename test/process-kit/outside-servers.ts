import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import type { Server as HttpServer, IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';

interface S3rver {
  run(): Promise<AddressInfo>;
  close(): Promise<void>;
  readonly httpServer: HttpServer;
}

type S3rverClass = new (options: object) => S3rver;
type AccountClass = new (
  id: number,
  name: string,
) => { createKeyPair(id: string, secret: string): void };

/** Of the package that only `packages/stores` depends on, for its tests. */
const load: (name: string) => unknown = createRequire(
  new URL('../../packages/stores/package.json', import.meta.url),
);

/** A real server of S3 that knows one key pair and has one bucket. */
export class S3Process {
  readonly endpoint: string;
  readonly #server: S3rver;

  private constructor(endpoint: string, server: S3rver) {
    this.endpoint = endpoint;
    this.#server = server;
  }

  static async start(
    directory: string,
    bucket: string,
    keys: { readonly id: string; readonly secret: string },
  ): Promise<S3Process> {
    const Account = load('@20minutes/s3rver/lib/models/account.js') as AccountClass;
    new Account(1, 'acceptance').createKeyPair(keys.id, keys.secret);
    const Server = load('@20minutes/s3rver') as S3rverClass;
    const configureBuckets = [{ name: bucket }];
    const at = { port: 0, address: '127.0.0.1' };
    const server = new Server({ ...at, silent: true, directory, configureBuckets });
    const { port } = await server.run();
    return new S3Process(`http://127.0.0.1:${port}`, server);
  }

  async stop(): Promise<void> {
    this.#server.httpServer.closeAllConnections();
    await this.#server.close();
  }
}

/** A server of HTTPS with a certificate of its own making, which clients have to be told of. */
export class HttpsServer {
  readonly certificate: string;
  readonly requests: string[] = [];
  answer: (request: IncomingMessage, response: ServerResponse) => void = (_, response) =>
    response.writeHead(404).end();
  readonly #server: Server;

  private constructor(certificate: string, server: Server) {
    this.certificate = certificate;
    this.#server = server;
    server.on('request', (request, response) => {
      this.requests.push(`${request.method} ${request.url}`);
      this.answer(request, response);
    });
  }

  static async start(folder: string): Promise<HttpsServer> {
    const [key, certificate] = [join(folder, 'web.key'), join(folder, 'web.pem')];
    await promisify(execFile)('openssl', [
      ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'],
      ...['-keyout', key, '-out', certificate, '-days', '2', '-subj', '/CN=localhost'],
      ...['-addext', 'subjectAltName=DNS:localhost'],
    ]);
    const server = createServer({ key: await readFile(key), cert: await readFile(certificate) });
    server.listen(0, 'localhost');
    await once(server, 'listening');
    return new HttpsServer(certificate, server);
  }

  url(path: string): string {
    const { port } = this.#server.address() as AddressInfo;
    return `https://localhost:${port}${path}`;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }
}
