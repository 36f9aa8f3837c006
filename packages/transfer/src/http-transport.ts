import {
  type ArtifactId,
  type ChunkList,
  type ChunkPlace,
  type ChunkTransport,
  type Clock,
  isChunkList,
  ok,
  type PeerDirectory,
  type PeerId,
  PortError,
  type Result,
  refused,
  SOURCE_STALL_MS,
  type SourceRefusal,
  unreachable,
} from '@podmesh/core';
import { AskedThread } from './asked-thread.ts';
import { sharedBytes } from './chunk-memory.ts';
import type { OwnCertificate } from './peer-certificates.js';

/** The same relative path holds in `src` and in `dist`; see the file for why it is JavaScript. */
const WORKER = new URL('./receive-worker.js', import.meta.url);
/** A peer that was not reached is not tried again for this long, twice as long after each further time… */
const UNREACHED_MS = 15_000;
/** …up to this. */
const UNREACHED_MS_MAX = 300_000;
/** …and this long at first where it was reached in the same session: its server may be beginning anew. */
const LOST_MS = 1_000;
/** Peers that are remembered, reached and unreached. */
const REMEMBERED_MAX = 1_000;
/** What a busy source that says nothing is left alone for. */
const BUSY_MS = 500;
/** Ways that were opened and taken by somebody else before they could be used. */
const OPENED_MAX = 8;

/** The thread that receives ended before it had all. The next request gets a new one. */
export class ReceiveThreadLostError extends PortError {
  constructor(cause?: unknown) {
    super('the thread that receives artifacts ended while it received one; try again', {
      retryable: true,
      cause,
    });
  }
}

interface Unreached {
  /** Of one session: a restarted peer is another matter. */
  readonly key: string;
  readonly untilMs: number;
  readonly restMs: number;
}

interface Request {
  readonly path: string;
  readonly range?: string;
  /** Shared memory, filled by a 206 of just this length. */
  readonly into?: Uint8Array;
}

interface Answer {
  readonly status: number;
  readonly afterMs: string | undefined;
  /** Absent where it filled what was given. */
  readonly body: Uint8Array | undefined;
}

/** What came of a request in the thread. */
type Got =
  | ({ readonly kind: 'answer' } & Answer)
  | { readonly kind: 'not-open' | 'aborted' }
  | {
      readonly kind: 'problem';
      readonly problem: 'unreachable' | 'stalled' | 'closed' | 'malformed';
      readonly message: string;
    };

export interface HttpTransportParts {
  readonly peers: Pick<PeerDirectory, 'find'>;
  readonly clock: Pick<Clock, 'nowMs'>;
  /** Absent: connections are not encrypted. */
  readonly own?: OwnCertificate | undefined;
  /** Stands in for the thread's program in tests. */
  readonly script?: URL;
}

/**
 * {@link ChunkTransport} straight from the other peer's server, whose address and key its directory entry tells. A thread
 * receives; chunks come without being copied where `into` is memory that threads can share.
 */
export class HttpTransport implements ChunkTransport {
  readonly #parts: HttpTransportParts;
  readonly #thread: AskedThread;
  readonly #unreached = new Map<PeerId, Unreached>();
  #revoked: readonly string[] = [];
  /** Their keys. */
  readonly #reached = new Map<PeerId, string>();
  #own: OwnCertificate | undefined;

  constructor(parts: HttpTransportParts) {
    this.#parts = parts;
    this.#own = parts.own;
    this.#thread = new AskedThread({
      script: parts.script ?? WORKER,
      name: 'podmesh-receive',
      lost: (cause) => new ReceiveThreadLostError(cause),
    });
  }

  /** All certificates with which nobody is who he was. */
  revoke(fingerprints: readonly string[]): void {
    this.#revoked = fingerprints;
    this.#thread.tell({ kind: 'close' });
  }

  /** With which certificate it is who it is, from the next connection on. */
  renew(own: OwnCertificate): void {
    this.#own = own;
  }

  /** Whether the source can be asked directly: known, or tried at once. */
  async reaches(source: PeerId, signal: AbortSignal): Promise<boolean> {
    try {
      if (await this.#thread.ask<boolean>({ kind: 'is-open', peer: source })) return true;
      return (await this.#open(source, signal)).ok;
    } catch (error) {
      if (!(error instanceof ReceiveThreadLostError)) throw error;
      return false;
    }
  }

  async chunkList(
    source: PeerId,
    artifact: ArtifactId,
    signal: AbortSignal,
  ): Promise<Result<ChunkList, SourceRefusal>> {
    const answered = await this.#ask(source, { path: `${pathOf(artifact)}/chunks` }, signal);
    if (!answered.ok) return answered;
    const { status, body } = answered.value;
    if (status !== 200 || body === undefined) return refused(refusalOf(answered.value));
    const list = parseList(body);
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
    const range = `bytes=${offset}-${offset + bytes - 1}`;
    const shared = into.buffer instanceof SharedArrayBuffer ? into : sharedBytes(into.length);
    const request = { path: pathOf(artifact), range, into: shared };
    const answered = await this.#ask(source, request, signal);
    if (!answered.ok) return answered;
    if (answered.value.status !== 206) return refused(refusalOf(answered.value));
    if (shared !== into) into.set(shared);
    return ok(undefined);
  }

  /** Closes what is open and ends the thread. Harmless twice. */
  stop(): Promise<void> {
    return this.#thread.stop();
  }

  async #ask(
    source: PeerId,
    request: Request,
    signal: AbortSignal,
  ): Promise<Result<Answer, SourceRefusal>> {
    try {
      for (let opened = 0; opened < OPENED_MAX; opened += 1) {
        const got = await this.#get(source, request, signal);
        if (got.kind === 'answer') return ok(got);
        if (got.kind === 'problem') return refused(refusalOfProblem(got));
        signal.throwIfAborted();
        const open = await this.#open(source, signal);
        if (!open.ok) return open;
      }
    } catch (error) {
      if (!(error instanceof ReceiveThreadLostError)) throw error;
      return refused({ kind: 'short', message: error.message });
    }
    return refused({ kind: 'busy', afterMs: BUSY_MS });
  }

  #get(peer: PeerId, request: Request, signal: AbortSignal): Promise<Got> {
    return this.#order({ kind: 'get', peer, stallMs: SOURCE_STALL_MS, ...request }, signal);
  }

  /** Aborted, it ends when the thread has let go of the memory: that may be used for something else at once. */
  async #order<Value>(order: object, signal: AbortSignal): Promise<Value> {
    signal.throwIfAborted();
    const id = this.#thread.newId();
    const { running } = this.#thread;
    const abort = (): void => this.#thread.tell({ kind: 'abort', id }, running);
    signal.addEventListener('abort', abort, { once: true });
    try {
      return await this.#thread.ask<Value>(order, [], id);
    } finally {
      signal.removeEventListener('abort', abort);
      signal.throwIfAborted();
    }
  }

  async #open(source: PeerId, signal: AbortSignal): Promise<Result<undefined, SourceRefusal>> {
    const unreachable = (message: string) =>
      refused({ kind: 'unreachable' as const, message: `peer ${source}: ${message}` });
    const address = await this.#parts.peers.find(source).then(
      (entry) => entry?.bulk,
      // The mesh is away: nothing is known, and nothing is to be remembered.
      () => undefined,
    );
    signal.throwIfAborted();
    if (address === undefined) return unreachable('tells no address');
    const { key, urls } = address;
    const before = this.#unreached.get(source);
    const nowMs = this.#parts.clock.nowMs();
    if (before?.key === key && nowMs < before.untilMs) return unreachable('was not reached lately');
    const order = { kind: 'open', peer: source, urls, key, revoked: this.#revoked, own: this.#own };
    const isOpen = await this.#order<boolean>(order, signal);
    if (isOpen) {
      this.#unreached.delete(source);
      if (this.#reached.size >= REMEMBERED_MAX) this.#reached.clear();
      this.#reached.set(source, key);
      return ok(undefined);
    }
    const firstMs = this.#reached.get(source) === key ? LOST_MS : UNREACHED_MS;
    const doubled = before?.key === key ? before.restMs * 2 : firstMs;
    const restMs = Math.min(UNREACHED_MS_MAX, doubled);
    if (this.#unreached.size >= REMEMBERED_MAX) this.#unreached.clear();
    this.#unreached.set(source, { key, untilMs: nowMs + restMs, restMs });
    return unreachable('nobody there proves to be it');
  }
}

const pathOf = (artifact: ArtifactId): string => `/v1/artifact/${artifact.slice('sha256:'.length)}`;

function refusalOf({ status, afterMs: said }: Answer): SourceRefusal {
  if (status === 404) return { kind: 'not-here' };
  if (status !== 429) return { kind: 'refused', message: `it answers ${status}` };
  const afterMs = Number(said ?? BUSY_MS);
  return { kind: 'busy', afterMs: Number.isFinite(afterMs) ? afterMs : BUSY_MS };
}

function refusalOfProblem({ problem, message }: Extract<Got, { kind: 'problem' }>): SourceRefusal {
  switch (problem) {
    case 'closed':
      return { kind: 'short', message };
    case 'malformed':
      return { kind: 'refused', message };
    case 'unreachable':
    case 'stalled':
      return { kind: problem, message };
    default:
      return unreachable(problem);
  }
}

function parseJson(body: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(body).toString('utf8'));
  } catch {
    return undefined;
  }
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
