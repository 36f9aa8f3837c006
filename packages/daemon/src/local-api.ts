import { chmod, rm, rmdir } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { PeerId, PeerOrder } from '@podmesh/core';
import type { Logger } from 'pino';
import { isTaken } from './is-taken.ts';
import { LocalCache } from './local-api-cache.ts';
import {
  ApiRefusal,
  parseArtifacts,
  parseBody,
  parseDrain,
  parseNamedArtifacts,
  parseNothing,
  parsePrune,
  parseUndrain,
  readBytes,
} from './local-api-request.ts';
import { clearStaleSocket, prepareSocketPlace, type SocketPlace } from './local-api-socket.ts';
import type { DrainDesk } from './owner/drain-desk.ts';
import type { OwnerWatch } from './owner/owner-watch.ts';
import type { DiskStore } from './store/disk-store.ts';
import type { WrongBytes } from './store/wrong-bytes.ts';

/** Connections at the same time: people and their scripts. */
const SOCKETS_MAX = 32;
const HEAD_BYTES_MAX = 8 * 1024;
/** A request has arrived within this. */
const REQUEST_MS = 10_000;
/** A connection without a request is closed after this. */
const IDLE_MS = 15_000;
/** Whoever asked takes what it gets within this. */
const TAKE_MS = 30_000;

export interface LocalApiParts {
  /** Path of the home; it is this user's only. */
  readonly home: string;
  readonly env: NodeJS.ProcessEnv;
  readonly store: DiskStore;
  readonly wrongBytes: Pick<WrongBytes, 'mend'>;
  readonly peer: PeerId;
  readonly version: string;
  readonly drains: Pick<DrainDesk, 'obey' | 'drained'>;
  readonly logger: Logger;
  /** More paths, by method. */
  readonly routes?: ReadonlyMap<string, Readonly<Record<string, Route>>>;
}

/** What is answered at one path: JSON, or text in pieces as it comes. Throws `ApiRefusal`. */
export type Route = (
  body: unknown,
  signal: AbortSignal,
) => Promise<object> | AsyncGenerator<string>;

/**
 * What programs of the same user on the same machine may ask of this daemon: HTTP with JSON on a socket in its
 * home. Who can open the socket is this user, so nobody is asked for a key. Answers that are no success are
 * `{error, advice}`.
 */
export class LocalApi {
  readonly #parts: LocalApiParts;
  readonly #server: Server;
  /** By path, then by method. */
  readonly #routes: ReadonlyMap<string, Readonly<Record<string, Route>>>;
  readonly #working = new Set<AbortController>();
  #starting: Promise<void> | undefined;
  #place: SocketPlace | undefined;
  #isStopped = false;
  #owner: Pick<OwnerWatch, 'verdict' | 'inForce' | 'sleepWish'> | undefined;

  constructor(parts: LocalApiParts) {
    this.#parts = parts;
    this.#routes = routesOf(parts, () => this.#owner);
    this.#server = createServer(
      {
        maxHeaderSize: HEAD_BYTES_MAX,
        headersTimeout: REQUEST_MS,
        requestTimeout: REQUEST_MS,
        keepAliveTimeout: IDLE_MS,
      },
      (request, response) => void this.#answer(request, response),
    );
    this.#server.maxConnections = SOCKETS_MAX;
  }

  /** Where it listens; undefined while it does not. */
  get socket(): string | undefined {
    return this.#place?.path;
  }

  /** From now on it tells what the owner of this machine wants. */
  tellPolicy(owner: Pick<OwnerWatch, 'verdict' | 'inForce' | 'sleepWish'>): void {
    this.#owner = owner;
  }

  /** Resolves when it listens. A peer works without it, too: where it cannot, the log says why. */
  async start(): Promise<void> {
    this.#starting ??= this.#start().catch((error: unknown) => {
      this.#parts.logger.warn({ err: error }, 'cannot listen to "podmesh cache" on this machine');
    });
    await this.#starting;
  }

  /** Ends at once what is being answered. Harmless when never started, twice, or mid-start. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#starting;
    const place = this.#place;
    if (place === undefined) return;
    this.#place = undefined;
    for (const work of this.#working) work.abort();
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
    await rm(place.path, { force: true });
    if (place.folder !== undefined) await rmdir(place.folder).catch(() => undefined);
  }

  async #start(): Promise<void> {
    const { home, env } = this.#parts;
    const place = await prepareSocketPlace(home, env);
    await clearStaleSocket(place.path);
    if (this.#isStopped) return;
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen({ path: place.path }, () => {
        this.#server.removeListener('error', reject);
        resolve();
      });
    });
    this.#place = place;
    this.#server.on('error', (error) =>
      this.#parts.logger.warn({ err: error }, 'trouble with the local socket'),
    );
    // Until now the folder alone kept others out.
    await chmod(place.path, 0o600);
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const work = new AbortController();
    this.#working.add(work);
    response.once('close', () => work.abort());
    try {
      const bytes = await readBytes(request);
      const answer = this.#routeOf(request)(parseBody(bytes), work.signal);
      if (answer instanceof Promise) sayJson(response, 200, await answer);
      else await sayPieces(response, answer);
    } catch (error) {
      this.#refuse(request, response, error);
    } finally {
      this.#working.delete(work);
    }
  }

  #routeOf({ method = '', url = '' }: IncomingMessage): Route {
    const methods = this.#routes.get(url);
    if (methods === undefined) {
      const advice = 'Use the podmesh of the same version as the daemon.';
      throw new ApiRefusal(404, `there is no ${url.slice(0, 100)}`, advice);
    }
    if (Object.hasOwn(methods, method) && methods[method] !== undefined) return methods[method];
    const advice = `Use ${Object.keys(methods).join(' or ')}.`;
    throw new ApiRefusal(405, `${url} takes no ${method.slice(0, 100)}`, advice);
  }

  #refuse({ method, url }: IncomingMessage, response: ServerResponse, error: unknown): void {
    if (response.destroyed || response.headersSent) {
      response.destroy();
      return;
    }
    response.setHeader('connection', 'close');
    if (error instanceof ApiRefusal) {
      sayJson(response, error.status, { error: error.message, advice: error.advice });
      return;
    }
    this.#parts.logger.warn({ err: error, method, url }, 'could not answer on the local socket');
    const message = error instanceof Error ? error.message : String(error);
    sayJson(response, 500, { error: message, advice: 'daemon.log in PODMESH_HOME says more.' });
  }
}

function routesOf(
  { store, wrongBytes, peer, version, drains, routes = new Map() }: LocalApiParts,
  owner: () => Pick<OwnerWatch, 'verdict' | 'inForce' | 'sleepWish'> | undefined,
) {
  const cache = new LocalCache(store, wrongBytes);
  const health: Route = async (body) => {
    parseNothing(body);
    return { peer, version, pid: process.pid };
  };
  const list: Route = (body) => {
    parseNothing(body);
    return cache.list();
  };
  const told: Route = async (body) => {
    parseNothing(body);
    return { peer, ...(drains.drained === undefined ? {} : { drain: drains.drained }) };
  };
  const policy: Route = async (body) => {
    parseNothing(body);
    const { verdict, inForce } = owner() ?? {};
    if (verdict === undefined || inForce === undefined)
      throw new ApiRefusal(409, 'it is still starting', 'Try again in a moment.');
    const { file, problems } = inForce;
    const wake = owner()?.sleepWish;
    return { peer, ...verdict, wake, ...(file === undefined ? {} : { file }), problems };
  };
  const tell = async (order: PeerOrder): Promise<object> => {
    const answer = await drains.obey(order);
    if (answer.kind === 'refused')
      throw new ApiRefusal(409, answer.message, 'Try again in a moment; daemon.log says more.');
    return { peer, ...(drains.drained === undefined ? {} : { drain: drains.drained }) };
  };
  return new Map<string, Readonly<Record<string, Route>>>([
    ...routes,
    ['/v1/health', { GET: health }],
    ['/v1/drain', { GET: told, POST: (body) => tell(parseDrain(body)) }],
    ['/v1/policy', { GET: policy }],
    ['/v1/undrain', { POST: (body) => tell(parseUndrain(body)) }],
    ['/v1/cache', { GET: list }],
    ['/v1/cache/pin', { POST: (body) => cache.pin(parseNamedArtifacts(body)) }],
    ['/v1/cache/unpin', { POST: (body) => cache.unpin(parseNamedArtifacts(body)) }],
    ['/v1/cache/prune', { POST: (body) => cache.prune(parsePrune(body)) }],
    ['/v1/cache/verify', { POST: (body, signal) => cache.verify(parseArtifacts(body), signal) }],
  ]);
}

function sayJson(response: ServerResponse, status: number, value: object): void {
  const body = Buffer.from(`${JSON.stringify(value)}\n`);
  response.writeHead(status, {
    'content-type': 'application/json',
    'content-length': String(body.length),
  });
  response.end(body);
}

/** Nothing is sent before the first piece is there: until then it may still be refused. */
async function sayPieces(response: ServerResponse, pieces: AsyncGenerator<string>): Promise<void> {
  for await (const piece of pieces) {
    if (!response.headersSent) response.writeHead(200, { 'content-type': 'application/json' });
    if (!(await isTaken(response, piece, TAKE_MS))) return;
  }
  response.end();
}
