import type { ArtifactId } from '../words/ids.ts';

/** `file`: plain bytes. `dir`: a tree artifact, whose bytes are a `Tree` as canonical JSON. */
export type ArtifactKind = 'file' | 'dir';

/** A stored artifact as events and offers carry it. */
export interface ArtifactRef {
  readonly digest: ArtifactId;
  readonly kind: ArtifactKind;
  /** Length of the artifact's own bytes (for a directory: of its listing). */
  readonly bytes: number;
}

/** The listing of a directory: entries sorted by path, parents implied by their children's paths. */
export interface Tree {
  readonly podmeshTree: 1;
  readonly entries: readonly TreeEntry[];
}

/** `path` is relative, `/`-separated, without `.`, `..` or empty parts. */
export type TreeEntry =
  | {
      readonly kind: 'file';
      readonly path: string;
      readonly digest: ArtifactId;
      readonly bytes: number;
      readonly executable: boolean;
    }
  | { readonly kind: 'dir'; readonly path: string }
  | {
      readonly kind: 'symlink';
      readonly path: string;
      readonly target: string;
    }
  /** Another tree artifact, hung in whole: how the directories of an array job are gathered. */
  | { readonly kind: 'tree'; readonly path: string; readonly digest: ArtifactId };

/** SHA-256 of no bytes at all; such an artifact exists everywhere and is never stored or fetched. */
export const EMPTY_ARTIFACT =
  'sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855' as ArtifactId;
