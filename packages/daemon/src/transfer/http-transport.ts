import { randomBytes } from 'node:crypto';
import {
  type ArtifactId,
  type BulkAddress,
  type ChunkList,
  type ChunkPlace,
  type ChunkTransport,
  type Clock,
  isChunkList,
  ok,
  type PeerDirectory,
  type PeerId,
  type Result,
  refused,
  type SourceRefusal,
  STREAMS_PER_SOURCE_MAX,
} from '@podmesh/core';
import { helloProof, isSameSecret } from './hello-proof.ts';
import {
  type HttpAnswer,
  HttpConnection,
  HttpProblem,
  type HttpRequest,
} from './http-connection.ts';

/** A peer that is on the same network has answered long before. */
const HELLO_MS = 1_500;
/** Addresses of one peer that are tried. */
const URLS_MAX = 4;
/** A peer that was not reached is not tried again for this long, twice as long after each further time… */
const UNREACHED_MS = 15_000;
/** …up to this. */
const UNREACHED_MS_MAX = 300_000;
/** Unreached peers that are remembered. */
const UNREACHED_MAX = 1_000;
/** What a busy source that says nothing is left alone for. */
const BUSY_MS = 500;

interface Unreached {
  /** Of one session: a restarted peer is another matter. */
  readonly key: string;
  readonly untilMs: number;
  readonly restMs: number;
}

/** A way to another peer that is proven to be that peer's. */
interface Proven {
  readonly connection: HttpConnection;
  readonly key: string;
  /** It was used before: it may have been closed by the other side meanwhile. */
  readonly again: boolean;
}

export interface HttpTransportParts {
  readonly peers: Pick<PeerDirectory, 'find'>;
  readonly clock: Pick<Clock, 'nowMs'>;
}

/** {@link ChunkTransport} straight from the other peer's server, whose address and key its directory entry tells. */
export class HttpTransport implements ChunkTransport {
  readonly #parts: HttpTransportParts;
  readonly #idle = new Map<PeerId, Proven[]>();
  readonly #unreached = new Map<PeerId, Unreached>();

  constructor(parts: HttpTransportParts) {
    this.#parts = parts;
  }

  /** Whether the source can be asked directly: known, or tried at once. */
  async reaches(source: PeerId, signal: AbortSignal): Promise<boolean> {
    const idle = this.#takeIdle(source);
    const opened = idle === undefined ? await this.#open(source, signal) : ok(idle);
    if (opened.ok) this.#keep(source, opened.value);
    return opened.ok;
  }

  async chunkList(
    source: PeerId,
    artifact: ArtifactId,
    signal: AbortSignal,
  ): Promise<Result<ChunkList, SourceRefusal>> {
    const answered = await this.#ask(source, { path: `${pathOf(artifact)}/chunks` }, signal);
    if (!answered.ok) return answered;
    if (answered.value.status !== 200) return refused(refusalOf(answered.value));
    const list = parseList(answered.value.body);
    return list === undefined
      ? refused({ kind: 'refused', message: 'its list of chunks cannot be one' })
      : ok(list);
  }

  async fetch(
    source: PeerId,
    { artifact, offset, bytes }: ChunkPlace,
    into: Uint8Array,
    signal: AbortSignal,
  ): Promise<Result<undefined, SourceRefusal>> {
    const headers = { range: `bytes=${offset}-${offset + bytes - 1}` };
    const answered = await this.#ask(source, { path: pathOf(artifact), headers, into }, signal);
    if (!answered.ok) return answered;
    return answered.value.status === 206 ? ok(undefined) : refused(refusalOf(answered.value));
  }

  /** Closes what is open and unused. */
  close(): void {
    for (const connections of this.#idle.values()) {
      for (const { connection } of connections) connection.close();
    }
    this.#idle.clear();
  }

  async #ask(
    source: PeerId,
    request: HttpRequest,
    signal: AbortSignal,
  ): Promise<Result<HttpAnswer, SourceRefusal>> {
    for (;;) {
      const idle = this.#takeIdle(source);
      const opened = idle === undefined ? await this.#open(source, signal) : ok(idle);
      if (!opened.ok) return opened;
      const { connection, key, again } = opened.value;
      try {
        const headers = { ...request.headers, authorization: `Bearer ${key}` };
        const answer = await connection.request({ ...request, headers }, signal);
        this.#keep(source, opened.value);
        return ok(answer);
      } catch (error) {
        if (!(error instanceof HttpProblem)) throw error;
        if (again && error.untouched && error.kind === 'closed') continue;
        return refused(refusalOfProblem(error));
      }
    }
  }

  #takeIdle(source: PeerId): Proven | undefined {
    const usable = this.#usable(source);
    const proven = usable.pop();
    if (usable.length === 0) this.#idle.delete(source);
    return proven;
  }

  /** Those that nobody has closed meanwhile. */
  #usable(source: PeerId): Proven[] {
    const usable = (this.#idle.get(source) ?? []).filter((idle) => idle.connection.isUsable);
    this.#idle.set(source, usable);
    return usable;
  }

  #keep(source: PeerId, proven: Proven): void {
    if (!proven.connection.isUsable) return;
    const idle = this.#usable(source);
    if (idle.length < STREAMS_PER_SOURCE_MAX) idle.push({ ...proven, again: true });
    else proven.connection.close();
  }

  async #open(source: PeerId, signal: AbortSignal): Promise<Result<Proven, SourceRefusal>> {
    const unreachable = (message: string) =>
      refused({ kind: 'unreachable' as const, message: `peer ${source}: ${message}` });
    const address = await this.#parts.peers.find(source).then(
      (entry) => entry?.bulk,
      // The mesh is away: nothing is known, and nothing is to be remembered.
      () => undefined,
    );
    signal.throwIfAborted();
    if (address === undefined) return unreachable('tells no address');
    const { key } = address;
    const before = this.#unreached.get(source);
    const nowMs = this.#parts.clock.nowMs();
    if (before?.key === key && nowMs < before.untilMs) return unreachable('was not reached lately');
    const connection = await dial(source, address, signal);
    if (connection !== undefined) {
      this.#unreached.delete(source);
      return ok({ connection, key, again: false });
    }
    const doubled = before?.key === key ? before.restMs * 2 : UNREACHED_MS;
    const restMs = Math.min(UNREACHED_MS_MAX, doubled);
    if (this.#unreached.size >= UNREACHED_MAX) this.#unreached.clear();
    this.#unreached.set(source, { key, untilMs: nowMs + restMs, restMs });
    return unreachable('nobody there proves to be it');
  }
}

/** All addresses at once; the first that proves to be the peer's. */
async function dial(
  peer: PeerId,
  { urls, key }: BulkAddress,
  signal: AbortSignal,
): Promise<HttpConnection | undefined> {
  const won = new AbortController();
  const stop = AbortSignal.any([signal, won.signal]);
  const tries = urls.slice(0, URLS_MAX).map((url) => greet(peer, url, key, stop));
  try {
    const first = await Promise.any(tries);
    for (const greeted of tries) {
      greeted.then((other) => other !== first && other.close()).catch(() => undefined);
    }
    return first;
  } catch {
    signal.throwIfAborted();
    return undefined;
  } finally {
    won.abort();
  }
}

async function greet(
  peer: PeerId,
  address: string,
  key: string,
  signal: AbortSignal,
): Promise<HttpConnection> {
  const url = new URL(address);
  if (url.protocol !== 'http:') throw new HttpProblem('unreachable', `not to be dialled: ${url}`);
  const connection = await HttpConnection.open(url, HELLO_MS, signal);
  try {
    const nonce = randomBytes(32).toString('hex');
    const answer = await connection.request({ path: `/v1/hello?nonce=${nonce}` }, signal, HELLO_MS);
    const proof = answer.status === 200 ? proofIn(answer.body) : undefined;
    if (proof !== undefined && isSameSecret(proof, helloProof(key, peer, nonce))) return connection;
    throw new HttpProblem('unreachable', `${url.host} is not peer ${peer}`);
  } catch (error) {
    connection.close();
    throw error;
  }
}

const pathOf = (artifact: ArtifactId): string => `/v1/artifact/${artifact.slice('sha256:'.length)}`;

function refusalOf({ status, headers }: HttpAnswer): SourceRefusal {
  if (status === 404) return { kind: 'not-here' };
  if (status !== 429) return { kind: 'refused', message: `it answers ${status}` };
  const afterMs = Number(headers.get('retry-after-ms') ?? BUSY_MS);
  return { kind: 'busy', afterMs: Number.isFinite(afterMs) ? afterMs : BUSY_MS };
}

function refusalOfProblem({ kind, message }: HttpProblem): SourceRefusal {
  switch (kind) {
    case 'closed':
      return { kind: 'short', message };
    case 'malformed':
      return { kind: 'refused', message };
    default:
      return { kind, message };
  }
}

function parseJson(body: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(body).toString('utf8'));
  } catch {
    return undefined;
  }
}

function proofIn(body: Uint8Array): string | undefined {
  const answer = parseJson(body);
  if (typeof answer !== 'object' || answer === null || !('proof' in answer)) return undefined;
  return typeof answer.proof === 'string' ? answer.proof : undefined;
}

function parseList(body: Uint8Array): ChunkList | undefined {
  const answer = parseJson(body);
  if (typeof answer !== 'object' || answer === null) return undefined;
  if (!('bytes' in answer && 'digests' in answer)) return undefined;
  const { bytes, digests } = answer;
  if (typeof bytes !== 'number' || !Array.isArray(digests)) return undefined;
  if (!digests.every((digest) => typeof digest === 'string')) return undefined;
  const list = { bytes, digests };
  return isChunkList(list) ? list : undefined;
}
