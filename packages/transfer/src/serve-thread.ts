import {
  type ArtifactId,
  artifactId,
  type BulkAddress,
  CHUNK_BYTES,
  type ChunkList,
  type Clock,
  type PeerId,
  PortError,
  UPLOAD_STREAMS_MAX,
  unreachable,
} from '@podmesh/core';
import { AskedThread } from './asked-thread.ts';
import type { ByteRange } from './byte-range.js';
import { bracketed, isWildcard, ownAddresses } from './own-addresses.ts';
import type { OwnCertificate } from './peer-certificates.js';

/** The same relative path holds in `src` and in `dist`; see the file for why it is JavaScript. */
const WORKER = new URL('./serve-worker.js', import.meta.url);
/** Rest before a server is started again: one that always ends must not keep the machine busy. */
const RETRY_MS = 250;
/** Addresses that others try at once. */
const URLS_MAX = 4;

/** What this peer has, by its paths: the thread reads by itself. */
export interface ServedStore {
  /** `isWhole`: false where only some chunks are here as yet. */
  find(artifact: ArtifactId): { readonly bytes: number; readonly isWhole: boolean } | undefined;
  /** A file in which these bytes, verified, stand where they do in the artifact; undefined where they are not here. */
  pathOf(artifact: ArtifactId, range: ByteRange): string | undefined;
  chunkList(artifact: ArtifactId): Promise<ChunkList | undefined>;
}

export interface ServeThreadParts {
  readonly peer: PeerId;
  /** Whoever knows it may fetch. */
  readonly key: string;
  readonly store: ServedStore;
  readonly host: string;
  /** 0: any that is free. */
  readonly port: number;
  readonly clock: Pick<Clock, 'sleep'>;
  readonly logger: { warn(fields: object, message: string): void };
  /** Absent: nothing is encrypted. */
  readonly own?: OwnCertificate | undefined;
  /** Stands in for the thread's program in tests. */
  readonly script?: URL;
}

/** The thread that serves artifacts ended before it had answered. */
class ServeThreadLostError extends PortError {
  constructor(cause?: unknown) {
    super('the thread that serves artifacts ended', { retryable: true, cause });
  }
}

type Question =
  | { readonly kind: 'find' | 'chunk-list'; readonly hex: string }
  | { readonly kind: 'path'; readonly hex: string; readonly range: ByteRange };

/**
 * Serves artifacts from a thread of its own. One that dies is replaced under the same address and key: those who fetched
 * lose a chunk and ask again.
 */
export class ServeThread {
  readonly #parts: ServeThreadParts;
  readonly #thread: AskedThread;
  readonly #stop = new AbortController();
  #url: string | undefined;
  #revoked: readonly string[] = [];
  #own: OwnCertificate | undefined;
  #restarting: Promise<void> | undefined;

  constructor(parts: ServeThreadParts) {
    const { peer, key, host, store, own, script = WORKER } = parts;
    this.#parts = parts;
    this.#own = own;
    this.#thread = new AskedThread({
      script,
      name: 'podmesh-serve',
      workerData: { peer, key, host, streamsMax: UPLOAD_STREAMS_MAX, chunkBytes: CHUNK_BYTES },
      lost: (cause) => new ServeThreadLostError(cause),
      onLost: (cause) => this.#onLost(cause),
      answer: (question: Question) => answer(store, question),
    });
  }

  /** Resolves when it listens; rejects when it cannot. */
  async start(): Promise<BulkAddress> {
    const start = { kind: 'start', port: this.#parts.port, revoked: this.#revoked, own: this.#own };
    this.#url = await this.#thread.ask<string>(start);
    return { urls: reachable(this.#url), key: this.#parts.key };
  }

  /** All certificates that get nothing any more; what they were getting ends. */
  revoke(fingerprints: readonly string[]): void {
    this.#revoked = fingerprints;
    this.#thread.tell({ kind: 'revoke', fingerprints });
  }

  /** Its certificate from now on; connections that are open stay. */
  renew(own: OwnCertificate): void {
    this.#own = own;
    this.#thread.tell({ kind: 'renew', own });
  }

  /** Harmless when never started, or twice. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#restarting;
    await this.#thread.stop();
  }

  #onLost(cause: unknown): void {
    if (this.#url === undefined || this.#stop.signal.aborted) return;
    this.#parts.logger.warn({ err: cause }, 'the thread that serves artifacts ended; begins again');
    this.#restarting ??= this.#restart(Number(new URL(this.#url).port)).finally(() => {
      this.#restarting = undefined;
    });
  }

  /** Under the port that others know. */
  async #restart(port: number): Promise<void> {
    const { clock } = this.#parts;
    const { signal } = this.#stop;
    for (;;) {
      await clock.sleep(RETRY_MS, signal);
      if (signal.aborted) return;
      const start = { kind: 'start', port, revoked: this.#revoked, own: this.#own };
      const isServing = await this.#thread.ask(start).then(
        () => true,
        () => false,
      );
      if (isServing) return;
    }
  }
}

/** Nobody else reaches a wildcard: they are told the addresses behind it. */
function reachable(url: string): readonly string[] {
  const { protocol, hostname, port } = new URL(url);
  if (!isWildcard(hostname)) return [url];
  const hosts = ownAddresses().slice(0, URLS_MAX).map(bracketed);
  return hosts.map((host) => `${protocol}//${host}:${port}`);
}

async function answer(store: ServedStore, question: Question): Promise<unknown> {
  const artifact = artifactId(`sha256:${question.hex}`);
  switch (question.kind) {
    case 'find':
      return store.find(artifact);
    case 'chunk-list':
      return await store.chunkList(artifact);
    case 'path':
      return store.pathOf(artifact, question.range);
    default:
      return unreachable(question);
  }
}
