import type { JobSecrets, SecretRef } from '../external/secrets.ts';
import type { StorePlace } from '../external/store-place.ts';
import type { FailureKind } from '../run/failure-kind.ts';
import type { ArtifactId, JobId, LaneId } from '../words/ids.ts';

/**
 * The validated document of jobs. Only `parseGraph` makes one: whoever holds a `Graph` may rely on
 * unique job ids, resolvable references, no cycles, and every bound in `words/limits.ts`.
 */
export interface Graph {
  readonly version: 1;
  readonly name?: string;
  /** Where the values of secrets come from, by name. */
  readonly secrets?: Readonly<Record<string, SecretRef>>;
  readonly jobs: readonly Job[];
}

/** One entry of the document, defaults filled in. An array job (`count`) becomes `count` tasks. */
export interface Job {
  readonly id: JobId;
  readonly container: ContainerRef;
  /** Absent: the image's own entry point and command. */
  readonly command?: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly inputs: Readonly<Record<string, InputRef>>;
  readonly outputs: Readonly<Record<string, OutputRef>>;
  /** Output name → where it is delivered besides, before the task counts as succeeded. */
  readonly deliveries?: Readonly<Record<string, StorePlace>>;
  readonly secrets?: JobSecrets;
  /** Whether the container gets a network. */
  readonly net: boolean;
  /** Order without data. Data edges are not repeated here. */
  readonly after: readonly JobId[];
  readonly requirements: Requirements;
  readonly lane: LaneId;
  readonly timeoutMs: number;
  readonly retries: Retries;
  /** Input name → absolute path in the container, of inputs that are not mounted at `/in/<name>`. */
  readonly mountAt?: Readonly<Record<string, string>>;
  /** The environment variable in which each task finds its own id, which then is part of what is cached. */
  readonly taskIdEnv?: string;
  /** Number of elements; absent for a job that is a single task, or whose number is known only when it runs. */
  readonly count?: number;
  /** Absent: it runs. Otherwise, if this is not so, it is not needed. */
  readonly when?: When;
  /** One task for each element of what another job left; each reads its own as the input `item`. */
  readonly forEach?: ForEach;
  /** Whether the result may be taken from, and is put into, the result cache. */
  readonly cache: boolean;
  /** Copies of its outputs, on different peers; absent: as many as what becomes of them asks for. */
  readonly replicas?: number;
  /** Its outputs are wanted after the run although other jobs read them. */
  readonly keep?: true;
  /** What each of its tasks may spawn; what is absent is the default, and in any case no more than its parents may. */
  readonly spawn?: SpawnBudget;
}

/** What a job goes over: the entries of a directory, the elements of a JSON array, or the lines of a text. */
export interface ForEach {
  readonly job: JobId;
  readonly output: string;
  readonly index?: number;
  /** How a file is read; absent: as JSON if it begins with `[`, else line by line. */
  readonly as?: 'json' | 'lines';
}

/** When a job runs at all: if what another one left, or how it exited, says so. */
export type When = { readonly job: JobId; readonly not?: true } & (
  | { readonly kind: 'exit'; readonly codes: readonly number[] }
  | {
      readonly kind: 'output';
      readonly output: string;
      readonly index?: number;
      /** The text, without the end of its last line. */
      readonly equals?: string;
      readonly contains?: string;
    }
);

/** Whether the job is many tasks, numbered from 0. */
export function isArray({ count, forEach }: Job): boolean {
  return count !== undefined || forEach !== undefined;
}

/** What one task may spawn, sub-tasks of its sub-tasks counted. */
export interface SpawnBudget {
  /** 1: its sub-tasks may spawn none. 0: nor may it. */
  readonly depth?: number;
  readonly tasks?: number;
  /** Once its sub-tasks have used so much they are ended, and it may spawn no more. */
  readonly cpuSeconds?: number;
  /** Images in which they may run besides that of the task: references, or beginnings of them and `*`. */
  readonly images?: readonly string[];
}

/** How often a failed attempt is repeated, beyond what the policy of each kind allows by itself. */
export interface Retries {
  /** Attempts repeated for failures of the task's own doing, all such kinds together. */
  readonly task: number;
  /** Attempts repeated for one kind; what is named here does not count against `task`. */
  readonly byKind?: Readonly<Partial<Record<FailureKind, number>>>;
}

export type ContainerRef =
  /**
   * An image reference such as `docker.io/library/debian:12` or `localhost/tool:1`. `pins`: what it
   * meant when the run was published, by architecture, as image ids.
   */
  | {
      readonly kind: 'reference';
      readonly reference: string;
      readonly pins?: Readonly<Record<string, string>>;
    }
  /** An image digest (Podman's image id), `sha256:…`. */
  | { readonly kind: 'digest'; readonly digest: string }
  /** An OCI or docker archive that another job wrote. */
  | {
      readonly kind: 'output';
      readonly job: JobId;
      readonly output: string;
      readonly index?: number;
    };

export type InputRef =
  | { readonly kind: 'artifact'; readonly artifact: ArtifactId }
  /**
   * A path of the publisher, relative to the document; gone (an `artifact`) once published. `unpack`:
   * a zip file there is stored as the directory it holds.
   */
  | { readonly kind: 'file'; readonly path: string; readonly unpack?: true }
  /** An object of a store that people have; without `digest` its bytes are pinned when the run first reads them. */
  | { readonly kind: 'external'; readonly place: StorePlace; readonly digest?: ArtifactId }
  /** The element that a task of a `forEach` job is for; always called `item`. */
  | { readonly kind: 'item' }
  /**
   * Another job's output. Of an array job without `index`: a directory of all elements' outputs, in order;
   * `output` may then be `ALL_OUTPUTS`.
   */
  | {
      readonly kind: 'output';
      readonly job: JobId;
      readonly output: string;
      readonly index?: number;
    };

/** In place of an output: all of them, each element a directory of its own. */
export const ALL_OUTPUTS = '*';

export type OutputRef =
  /** `onFailure`: kept, if it is there, also when the command failed. */
  | { readonly kind: 'file'; readonly path: string; readonly onFailure?: true }
  | { readonly kind: 'dir'; readonly path: string }
  /** 1 standard output (0 is read as 1), 2 standard error, 3 and up are opened for the task. */
  | { readonly kind: 'fd'; readonly fd: number };

/** Ways of running a container: through Podman's API, or the fast lane (DESIGN §9). */
export type RuntimeName = 'podman' | 'crun';

/** What a task needs of a peer, rounded up and canonical, so that like tasks share a lane. */
export interface Requirements {
  /** Cores, in steps of 0.25. */
  readonly cpus: number;
  readonly memoryBytes: number;
  readonly diskBytes: number;
  readonly gpus: number;
  /** `amd64`, `arm64`, …; absent: any. */
  readonly arch?: string;
  /** Sorted `key=value` labels that the peer must carry. */
  readonly labels: readonly string[];
  /** Absent: whatever the peer prefers. */
  readonly runtime?: RuntimeName;
}
