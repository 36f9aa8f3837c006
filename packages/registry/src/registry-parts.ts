import type { ArtifactId, ImageManifests, ImageTags, PeerId } from '@podmesh/core';
import type { ManifestName } from './route.ts';

/** Bytes of a blob, the end excluded. */
export interface BlobRange {
  readonly start: number;
  readonly end: number;
}

/** Bytes of images: the artifacts of this peer, and through it those of all others. */
export interface BlobStore {
  /** The length of a blob that is here or that others have; undefined: nobody can be found who has it. */
  find(blob: ArtifactId, signal: AbortSignal): Promise<number | undefined>;
  /**
   * Brings it to this disk, once for all who ask meanwhile; its length. `bytes`: its length, where that is known.
   * Undefined: nobody has it.
   */
  bring(
    blob: ArtifactId,
    bytes: number | undefined,
    signal: AbortSignal,
  ): Promise<number | undefined>;
  /** Of a blob that was brought. */
  read(blob: ArtifactId, range: BlobRange): AsyncIterable<Uint8Array>;
  /** Keeps blobs on this disk until the returned function is called. Before it is looked whether they are there. */
  hold(blobs: readonly ArtifactId[]): () => void;
  /** Makes what is here known to the mesh as far as artifacts are, so that it survives this peer. */
  share(blob: ArtifactId, bytes: number): Promise<void>;
  beginUpload(): Promise<BlobUpload>;
}

/** A blob that is being written; nothing of it can be seen before it is committed. */
export interface BlobUpload {
  /** One after the other. Throws an error with the code `ENOSPC` or `EDQUOT` and a message that names the disk. */
  write(piece: Uint8Array): Promise<void>;
  /** SHA-256 of what was written so far. */
  digest(): ArtifactId;
  /** Gives it its digest for a name. */
  commit(): Promise<void>;
  /** Leaves nothing behind. Harmless after a commit, and twice. */
  discard(): Promise<void>;
}

/** Where images may come from when they are in no mesh yet. */
export interface ImageSource {
  /** False: it is none of its repositories, or has no such image. Throws when it cannot be asked. */
  bring(repository: string, name: ManifestName, signal: AbortSignal): Promise<boolean>;
}

/** What a registry stands on. */
export interface RegistryParts {
  readonly peer: PeerId;
  readonly blobs: BlobStore;
  readonly tags: ImageTags;
  readonly manifests: ImageManifests;
  /** Asked for what the mesh does not have; whether it has it now. Absent: no other registry is asked. */
  readonly mirror?: ImageSource;
  /** What tags mean has changed by a push or a removal here. */
  readonly onTagsChanged: () => Promise<void>;
  /** Told of failures that are this peer's or the mesh's, not the client's. */
  readonly onTrouble: (request: string, error: unknown) => void;
  readonly nowMs: () => number;
}
