import type { ChunkSource } from '@podmesh/core';
import type { ServedStore, TransferWay } from '@podmesh/transfer';

/** Bytes of artifacts that came from other peers, and that others asked of this one, since the start. */
export class MovedBytes {
  readonly received: Record<TransferWay, number> = { direct: 0, relayed: 0 };
  readonly served: Record<TransferWay, number> = { direct: 0, relayed: 0 };

  /** The same store, of which is counted what others are served of it directly. */
  countingDirect(store: ServedStore): ServedStore {
    return {
      find: (artifact) => store.find(artifact),
      chunkList: (artifact) => store.chunkList(artifact),
      pathOf: (artifact, range) => {
        const path = store.pathOf(artifact, range);
        if (path !== undefined) this.served.direct += range.end - range.start;
        return path;
      },
    };
  }

  /** The same source, of which is counted what others are served of it through the server. */
  countingRelayed(source: ChunkSource): ChunkSource {
    return {
      chunkList: (artifact) => source.chunkList(artifact),
      read: async (chunk) => {
        const bytes = await source.read(chunk);
        if (bytes !== undefined) this.served.relayed += bytes.byteLength;
        return bytes;
      },
    };
  }
}
