import type { ArtifactRef } from '../artifact/artifact.ts';
import type { OutputRef, Requirements } from '../graph/graph.ts';
import type { ActionDigest, ArtifactId, LaneId, RunId, TaskId } from '../words/ids.ts';

/**
 * A task waiting in the work queue, with all a peer needs to make the attempt: no peer has to load
 * the graph to run one task of it.
 */
export interface Offer {
  readonly run: RunId;
  readonly task: TaskId;
  readonly lane: LaneId;
  readonly attempt: number;
  /** The last sequence of the task's subject; 0 when nothing is known of it. `attempt-started` must land on it. */
  readonly sequence: number;
  readonly image: OfferedImage;
  readonly command?: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly inputs: Readonly<Record<string, ArtifactRef>>;
  readonly outputs: Readonly<Record<string, OutputRef>>;
  readonly net: boolean;
  readonly requirements: Requirements;
  readonly timeoutMs: number;
  readonly cache: boolean;
}

export type OfferedImage =
  /** Not known to the driver's machine: the peer that runs the task resolves it. */
  | { readonly kind: 'reference'; readonly reference: string }
  | {
      readonly kind: 'digest';
      readonly digest: string;
      readonly reference?: string;
    }
  | { readonly kind: 'archive'; readonly archive: ArtifactId };

/** The parts of an offer and its image that decide what comes out (DESIGN §7). */
export interface Action {
  /** Image id, or digest of the image archive: equal text, equal bytes. */
  readonly image: string;
  readonly command?: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly inputs: Readonly<Record<string, ArtifactId>>;
  readonly outputs: Readonly<Record<string, OutputRef>>;
  readonly net: boolean;
  /** `linux/amd64`, … */
  readonly platform: string;
}

/** The digest under which the result of an offer is kept; see {@link Action}. */
export interface KnownAction {
  readonly digest: ActionDigest;
  readonly action: Action;
}
