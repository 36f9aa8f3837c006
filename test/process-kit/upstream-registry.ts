import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';

interface Part {
  readonly digest: string;
  readonly mediaType: string;
}

interface Served {
  readonly type: string;
  readonly bytes: Buffer;
}

/** Somebody else's registry, as far as it is pulled from, that remembers what it was asked for. */
export class UpstreamRegistry {
  /** Paths below `/v2/`, as they came. */
  readonly requests: string[] = [];
  #port = 0;
  readonly #served = new Map<string, Served>();
  readonly #server = createServer((request, response) => this.#answer(request, response));

  static async start(): Promise<UpstreamRegistry> {
    const registry = new UpstreamRegistry();
    registry.#server.listen(0, '127.0.0.1');
    await once(registry.#server, 'listening');
    registry.#port = (registry.#server.address() as AddressInfo).port;
    return registry;
  }

  /** Also when it is stopped. */
  get host(): string {
    return `127.0.0.1:${this.#port}`;
  }

  /** Serves the one image of an OCI layout. All that has to be asked for to have it, sorted, and its image id. */
  async add(
    name: string,
    tag: string,
    layout: string,
  ): Promise<{ readonly id: string; readonly paths: readonly string[] }> {
    const index = JSON.parse(await readFile(join(layout, 'index.json'), 'utf8')) as {
      manifests: Part[];
    };
    const [top = { digest: '', mediaType: '' }] = index.manifests;
    const blob = ({ digest }: Part) => readFile(join(layout, 'blobs', ...digest.split(':')));
    const manifest = await blob(top);
    const { config, layers } = JSON.parse(manifest.toString()) as { config: Part; layers: Part[] };
    const paths = [`/v2/${name}/manifests/${tag}`];
    this.#served.set(paths[0] ?? '', { type: top.mediaType, bytes: manifest });
    for (const part of [config, ...layers]) {
      const path = `/v2/${name}/blobs/${part.digest}`;
      this.#served.set(path, { type: 'application/octet-stream', bytes: await blob(part) });
      paths.push(path);
    }
    return { id: config.digest, paths: paths.sort() };
  }

  /** Harmless twice. */
  async stop(): Promise<void> {
    if (!this.#server.listening) return;
    this.#server.close();
    this.#server.closeAllConnections();
    await once(this.#server, 'close');
  }

  #answer({ url = '' }: IncomingMessage, response: ServerResponse): void {
    this.requests.push(url);
    const found = this.#served.get(url);
    if (found === undefined) return void response.writeHead(404).end();
    const headers = { 'content-type': found.type, 'content-length': found.bytes.length };
    response.writeHead(200, headers).end(found.bytes);
  }
}
