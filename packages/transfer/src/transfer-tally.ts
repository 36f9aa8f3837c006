import type { ArtifactId, ChunkPlace, PeerId } from '@podmesh/core';
import type { TransferWay } from './either-transport.ts';

/** What came of one artifact, and which way; a chunk that came twice counts twice. */
export interface TransferCounts {
  readonly directBytes: number;
  readonly relayedBytes: number;
  readonly from: readonly PeerId[];
}

/** Counts where bytes come from, for the log: a slow transfer is most often one that goes through the server. */
export class TransferTally {
  readonly #counts = new Map<
    ArtifactId,
    { bytes: Record<TransferWay, number>; from: Set<PeerId> }
  >();

  note(source: PeerId, { artifact, bytes }: ChunkPlace, way: TransferWay): void {
    const counts = this.#counts.get(artifact) ?? {
      bytes: { direct: 0, relayed: 0 },
      from: new Set(),
    };
    this.#counts.set(artifact, counts);
    counts.bytes[way] += bytes;
    counts.from.add(source);
  }

  /** Of a transfer that has ended: it is not counted any longer. */
  take(artifact: ArtifactId): TransferCounts {
    const counts = this.#counts.get(artifact);
    this.#counts.delete(artifact);
    return {
      directBytes: counts?.bytes.direct ?? 0,
      relayedBytes: counts?.bytes.relayed ?? 0,
      from: [...(counts?.from ?? [])],
    };
  }
}
