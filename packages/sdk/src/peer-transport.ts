import type {
  ArtifactId,
  ChunkList,
  ChunkPlace,
  ChunkTransport,
  MemberDirectory,
  PeerDirectory,
  PeerId,
  Result,
  SourceRefusal,
} from '@podmesh/core';
import {
  EitherTransport,
  HttpTransport,
  type OwnCertificate,
  systemClock,
  type TransferWay,
} from '@podmesh/transfer';

export interface PeerTransportParts {
  readonly peers: Pick<PeerDirectory, 'find'>;
  readonly members: Pick<MemberDirectory, 'list'>;
  /** For peers that cannot be reached from here. */
  readonly relay: ChunkTransport;
  /** What peers let us in with; absent in a mesh without certificates. */
  readonly own?: OwnCertificate | undefined;
}

/**
 * Chunks straight from peers, as peers give them to each other, and through the server from those that are not reached.
 * Members whose certificates were taken back are not asked: as long as nobody can say who those are, all comes through
 * the server. Opens nothing before it is asked.
 */
export class PeerTransport implements ChunkTransport {
  readonly #parts: PeerTransportParts;
  readonly #direct: HttpTransport;
  readonly #either: EitherTransport;
  #knowing: Promise<boolean> | undefined;

  /** `onBytes` is told what came. */
  constructor(
    parts: PeerTransportParts,
    onBytes: (bytes: number, way: TransferWay) => void = () => undefined,
  ) {
    const { peers, relay, own } = parts;
    this.#parts = parts;
    this.#direct = new HttpTransport({ peers, clock: systemClock, own });
    this.#either = new EitherTransport(this.#direct, relay, (_, { bytes }, way) =>
      onBytes(bytes, way),
    );
  }

  async chunkList(
    source: PeerId,
    artifact: ArtifactId,
    signal: AbortSignal,
  ): Promise<Result<ChunkList, SourceRefusal>> {
    return (await this.#way()).chunkList(source, artifact, signal);
  }

  async fetch(
    source: PeerId,
    chunk: ChunkPlace,
    into: Uint8Array,
    signal: AbortSignal,
  ): Promise<Result<undefined, SourceRefusal>> {
    return (await this.#way()).fetch(source, chunk, into, signal);
  }

  /** Harmless twice. */
  stop(): Promise<void> {
    return this.#direct.stop();
  }

  async #way(): Promise<ChunkTransport> {
    this.#knowing ??= this.#learnRevoked();
    if (await this.#knowing) return this.#either;
    this.#knowing = undefined;
    return this.#parts.relay;
  }

  async #learnRevoked(): Promise<boolean> {
    if (this.#parts.own === undefined) return true;
    try {
      const members = await this.#parts.members.list();
      this.#direct.revoke(members.flatMap(({ revoked }) => revoked));
      return true;
    } catch {
      return false;
    }
  }
}
