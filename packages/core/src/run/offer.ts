import type { ArtifactRef } from '../artifact/artifact.ts';
import type { JobSecrets, SecretRef } from '../external/secrets.ts';
import type { StorePlace } from '../external/store-place.ts';
import type { OutputRef, Requirements } from '../graph/graph.ts';
import type { ArtifactId, LaneId, PeerId, RunId, TaskId } from '../words/ids.ts';

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
  /** Input name → absolute path in the container, of inputs that are not mounted at `/in/<name>`. */
  readonly mountAt?: Readonly<Record<string, string>>;
  readonly outputs: Readonly<Record<string, OutputRef>>;
  /** Outputs that are images which other jobs run in. */
  readonly images?: readonly string[];
  /** Input name → where its bytes are outside of the mesh. Without a pin it is not among `inputs`: the attempt makes one. */
  readonly sources?: Readonly<Record<string, StorePlace>>;
  /** Output name → where it is delivered before the task counts as succeeded. */
  readonly deliveries?: Readonly<Record<string, StorePlace>>;
  readonly secrets?: JobSecrets;
  /** Where the values of all secrets that the attempt needs come from. */
  readonly secretRefs?: Readonly<Record<string, SecretRef>>;
  readonly net: boolean;
  readonly requirements: Requirements;
  readonly timeoutMs: number;
  /** CPU time left of the budget above a sub-task: its peer ends it beyond that, and tells what it uses. Absent: no budget. */
  readonly cpuLeftMs?: number;
  /** Peers on which earlier attempts failed: they let others go first. */
  readonly avoid: readonly PeerId[];
  readonly cache: boolean;
}

export type OfferedImage =
  /** The peer that runs the task resolves it, unless there is a pin for its architecture. */
  | {
      readonly kind: 'reference';
      readonly reference: string;
      /** What the reference means to this run, by architecture, as image ids: since it was published, or since its driver asked the peers. */
      readonly pins?: Readonly<Record<string, string>>;
    }
  | { readonly kind: 'digest'; readonly digest: string }
  | { readonly kind: 'archive'; readonly archive: ArtifactId };
