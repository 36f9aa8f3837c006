import type {
  ArtifactId,
  ChunkList,
  ChunkPlace,
  ChunkTransport,
  PeerId,
  Result,
  SourceRefusal,
} from '@podmesh/core';

/** A transport that can tell whether it gets to a peer at all. */
export interface DirectTransport extends ChunkTransport {
  reaches(source: PeerId, signal: AbortSignal): Promise<boolean>;
}

export type TransferWay = 'direct' | 'relayed';

export type OnChunk = (source: PeerId, chunk: ChunkPlace, way: TransferWay) => void;

/** Straight from the source where it is reached, and through the server where it is not. */
export class EitherTransport implements ChunkTransport {
  readonly #direct: DirectTransport;
  readonly #relay: ChunkTransport;
  readonly #onChunk: OnChunk;

  /** `onChunk` is told of each chunk that came. */
  constructor(direct: DirectTransport, relay: ChunkTransport, onChunk: OnChunk = () => undefined) {
    this.#direct = direct;
    this.#relay = relay;
    this.#onChunk = onChunk;
  }

  async chunkList(
    source: PeerId,
    artifact: ArtifactId,
    signal: AbortSignal,
  ): Promise<Result<ChunkList, SourceRefusal>> {
    return this.#either(source, signal, (way) => way.chunkList(source, artifact, signal));
  }

  async fetch(
    source: PeerId,
    chunk: ChunkPlace,
    into: Uint8Array,
    signal: AbortSignal,
  ): Promise<Result<undefined, SourceRefusal>> {
    return this.#either(source, signal, async (way) => {
      const answer = await way.fetch(source, chunk, into, signal);
      if (answer.ok) this.#onChunk(source, chunk, way === this.#direct ? 'direct' : 'relayed');
      return answer;
    });
  }

  /** A way that is lost between two chunks is noticed by the second; whatever else is refused stays refused. */
  async #either<Value>(
    source: PeerId,
    signal: AbortSignal,
    ask: (way: ChunkTransport) => Promise<Result<Value, SourceRefusal>>,
  ): Promise<Result<Value, SourceRefusal>> {
    if (await this.#direct.reaches(source, signal)) {
      const answer = await ask(this.#direct);
      if (answer.ok || answer.error.kind !== 'unreachable') return answer;
    }
    return ask(this.#relay);
  }
}
