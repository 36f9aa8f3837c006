import {
  type ArtifactId,
  CHUNK_BYTES,
  type ChunkList,
  type ChunkPlace,
  type ChunkTransport,
  ok,
  type PeerId,
  PortError,
  RELAY_BYTES_PER_S_MAX,
  type Result,
  refused,
  SOURCE_STALL_MS,
  type SourceRefusal,
} from '@podmesh/core';
import { PartExchange, type WantedParts } from './part-exchange.ts';
import { PartWindow } from './part-window.ts';
import { asking } from './port-error.ts';
import type { RelayConnection } from './relay-connection.ts';
import {
  decodeChunkList,
  encodedListBytes,
  encodeRelayQuestion,
  partBytes,
  partOf,
  partsOf,
} from './relay-message.ts';
import { TokenBucket } from './token-bucket.ts';

/** What tests shorten, for both sides of the relay. */
export interface RelayOptions {
  readonly bytesPerSecond?: number;
  readonly stallMs?: number;
  readonly partMs?: number;
}

/** How long one part is waited for. */
export const RELAY_PART_MS = 5_000;
/** So much of a second goes through at once after a rest. */
const BURST_SHARE = 1 / 8;

/** What goes through the relay in one direction. */
export const relayBucket = (options: RelayOptions): TokenBucket => {
  const perSecond = options.bytesPerSecond ?? RELAY_BYTES_PER_S_MAX;
  return new TokenBucket({ perSecond, burst: perSecond * BURST_SHARE });
};

/** Other peers' bytes through the server, for those that cannot reach each other. */
export class RelayTransport implements ChunkTransport {
  readonly #relay: RelayConnection;
  readonly #bucket: TokenBucket;
  readonly #stallMs: number;
  readonly #partMs: number;
  readonly #windows = new Map<ArtifactId, { readonly window: PartWindow; users: number }>();

  constructor(relay: RelayConnection, options: RelayOptions = {}) {
    this.#relay = relay;
    this.#bucket = relayBucket(options);
    this.#stallMs = options.stallMs ?? SOURCE_STALL_MS;
    this.#partMs = options.partMs ?? RELAY_PART_MS;
  }

  async chunkList(
    source: PeerId,
    artifact: ArtifactId,
    signal: AbortSignal,
  ): Promise<Result<ChunkList, SourceRefusal>> {
    let encoded = new Uint8Array(0);
    const arrived = (part: number, bytes: Uint8Array): SourceRefusal | undefined => {
      if (part === 0) {
        const length = encodedListBytes(bytes);
        if (length === undefined)
          return { kind: 'refused', message: `${source} sent something else than a chunk list` };
        encoded = new Uint8Array(length);
      }
      if (bytes.length !== partBytes(encoded.length, part)) return short(source);
      partOf(encoded, part).set(bytes);
      return undefined;
    };
    const question = (part: number): Uint8Array =>
      encodeRelayQuestion({ kind: 'list', artifact, part });
    const wanted = { source, question, arrived };
    // How many parts there are is in the first one.
    const first = await this.#get(artifact, { ...wanted, parts: [0] }, signal);
    if (!first.ok) return first;
    const parts = numbersUpTo(partsOf(encoded.length)).slice(1);
    const rest = await this.#get(artifact, { ...wanted, parts }, signal);
    return rest.ok ? ok(decodeChunkList(encoded)) : rest;
  }

  async fetch(
    source: PeerId,
    chunk: ChunkPlace,
    into: Uint8Array,
    signal: AbortSignal,
  ): Promise<Result<undefined, SourceRefusal>> {
    if (into.length !== chunk.bytes || chunk.bytes > CHUNK_BYTES)
      throw new RangeError(`${into.length} bytes for a chunk of ${chunk.bytes}`);
    const arrived = (part: number, bytes: Uint8Array): SourceRefusal | undefined => {
      if (bytes.length !== partBytes(chunk.bytes, part)) return short(source);
      partOf(into, part).set(bytes);
      return undefined;
    };
    const question = (part: number): Uint8Array =>
      encodeRelayQuestion({ kind: 'chunk', chunk, part });
    const parts = numbersUpTo(partsOf(chunk.bytes));
    return this.#get(chunk.artifact, { source, question, arrived, parts }, signal);
  }

  async #get(
    artifact: ArtifactId,
    wanted: WantedParts,
    signal: AbortSignal,
  ): Promise<Result<undefined, SourceRefusal>> {
    signal.throwIfAborted();
    if (wanted.parts.length === 0) return ok(undefined);
    const shared = this.#windows.get(artifact) ?? { window: new PartWindow(), users: 0 };
    this.#windows.set(artifact, shared);
    shared.users += 1;
    const { window } = shared;
    const limits = { stallMs: this.#stallMs, partMs: this.#partMs, bucket: this.#bucket, window };
    try {
      return await this.#relay.use(signal, async (connection) => {
        // A connection that is being closed takes no subscription any more.
        const exchange = await asking(
          'get parts through the relay',
          async () => new PartExchange(connection, wanted, limits),
        );
        return exchange.run(signal);
      });
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof PortError)) throw error;
      return refused({ kind: 'unreachable', message: error.message });
    } finally {
      shared.users -= 1;
      if (shared.users === 0) this.#windows.delete(artifact);
    }
  }
}

const numbersUpTo = (count: number): number[] => Array.from({ length: count }, (_, at) => at);

const short = (source: PeerId): SourceRefusal => ({
  kind: 'short',
  message: `${source} sent a part of another length`,
});
