import type { Sequence } from '../ports.ts';
import type { JobId } from '../words/ids.ts';

/** What one task spawned, over all of its attempts. */
export interface Spawns {
  /** Where its next `tasks-spawned` has to land: its last one, accepted or not. */
  sequence: Sequence;
  /** Why that one was not accepted. */
  refusal: SpawnRefusal | undefined;
  /** What was accepted, by key. */
  readonly byKey: Map<string, SpawnedJobs>;
  /** Sub-tasks, and those that they spawned. */
  tasks: number;
  /** CPU milliseconds of all attempts of these that have ended. */
  cpuMs: number;
}

/** The jobs of one accepted `tasks-spawned`: so many positions in a row. */
export interface SpawnedJobs {
  readonly firstJob: number;
  readonly jobCount: number;
}

/** Why a spawn is none. `message`: what is wrong and what to do, for the author of the task. */
export interface SpawnRefusal {
  readonly kind: /** The attempt is not, or no longer, the open one of its task: it may do nothing any more. */
    | 'stale-attempt'
    /** The run was cancelled, or has ended. */
    | 'run-over'
    /** These jobs were spawned with that key before, and are others. */
    | 'key-taken'
    /** A job of the run has that id: the name of the key or of the job must be another. */
    | 'id-taken'
    /** A job reads or awaits what it may not: only of the same spawn, and of what the task spawned before. */
    | 'out-of-reach'
    | 'too-many-jobs'
    | 'budget-depth'
    | 'budget-tasks'
    | 'budget-cpu-seconds'
    /** The run as a whole has as many tasks or jobs as one may have. */
    | 'run-too-large';
  readonly message: string;
  /** The job at fault, where one is. */
  readonly job?: JobId;
}

/** What became of a spawn. */
export type SpawnVerdict =
  | { readonly kind: 'accepted'; readonly jobs: SpawnedJobs }
  | { readonly kind: 'refused'; readonly refusal: SpawnRefusal }
  /** Not in the log, as far as it is folded. */
  | { readonly kind: 'unknown' };
