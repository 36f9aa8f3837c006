import type { ArtifactId, PeerId } from '../words/ids.ts';

/** What a tag of a repository means. */
export interface TagRecord {
  /** Of the manifest, which is an artifact like every other part of an image. */
  readonly digest: ArtifactId;
  readonly mediaType: string;
  readonly bytes: number;
  /** The peer that it was pushed to. */
  readonly by: PeerId;
}

/** A change of a tag; without a record it was removed. */
export interface TagChange {
  readonly record?: TagRecord;
  /** Later changes have larger ones. */
  readonly revision: number;
  /** The server's time (RFC 3339; for people, decides nothing). */
  readonly at: string;
}

export interface NamedTag {
  readonly repository: string;
  readonly tag: string;
  readonly record: TagRecord;
}

/** Names of images, each with its history. Who writes last wins; the order is the server's. */
export interface ImageTags {
  /** Read from the leader: a push that was answered is seen. */
  find(repository: string, tag: string): Promise<TagRecord | undefined>;
  /** Of one repository, or of all. */
  list(repository?: string): Promise<readonly NamedTag[]>;
  /** The revision of the change. */
  set(repository: string, tag: string, record: TagRecord): Promise<number>;
  /** Harmless when it is not there. */
  remove(repository: string, tag: string): Promise<void>;
  /** Oldest first, as far back as is kept. */
  history(repository: string, tag: string): Promise<readonly TagChange[]>;
}

/** A manifest of a repository: the same bytes may be in several. */
export interface ManifestRecord {
  readonly digest: ArtifactId;
  readonly mediaType: string;
  readonly bytes: number;
  /** The manifest that this one says something about. */
  readonly subject?: ArtifactId;
}

/** Which manifests a repository has. */
export interface ImageManifests {
  /** Read from the leader. */
  find(repository: string, digest: ArtifactId): Promise<ManifestRecord | undefined>;
  list(repository: string): Promise<readonly ManifestRecord[]>;
  put(repository: string, record: ManifestRecord): Promise<void>;
  /** Harmless when it is not there. */
  remove(repository: string, digest: ArtifactId): Promise<void>;
}
