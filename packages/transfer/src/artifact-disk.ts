import type { ArtifactId, ChunkList, ChunkSource } from '@podmesh/core';

/** What transfers need of the disk. */
export interface ArtifactDisk extends ChunkSource {
  has(artifact: ArtifactId): Promise<boolean>;
  /**
   * Begins to put an artifact together, or goes on where an earlier try, of an earlier daemon too, had ended. Makes
   * sure of the room first: throws `DiskFullError`. One at a time for an artifact.
   */
  begin(artifact: ArtifactId, list: ChunkList): Promise<PartialArtifact>;
}

/** An artifact that is put together of chunks, in any order. Hashing and writing leave the main thread alone. */
export interface PartialArtifact {
  /** Chunks that are here and verified. */
  readonly here: ReadonlySet<number>;
  /**
   * Writes the chunk where it belongs if its SHA-256 is the list's. The bytes are the disk's until this has ended: they
   * may be moved to another thread, except for memory that threads share. Throws `DiskFullError`.
   */
  put(index: number, bytes: Uint8Array): Promise<'here' | 'corrupt'>;
  /** With all chunks here: compares the whole with its name, and gives it the name. `corrupt`: nothing is left of it. */
  commit(): Promise<'stored' | 'corrupt'>;
  /** Keeps what is here for the next try. */
  close(): Promise<void>;
}
