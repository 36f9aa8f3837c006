import { ATTEMPTS_PER_TASK_MAX, MESH_RETRIES_MAX, RETRIES_MAX } from '../words/limits.ts';

/** Every attempt that does not succeed has exactly one of these (DESIGN §8). */
export type FailureKind =
  | 'exit'
  | 'oom-task'
  | 'oom-host'
  | 'disk-task'
  | 'disk-host'
  | 'timeout'
  | 'start-failed'
  | 'image-unavailable'
  | 'image-platform'
  | 'input-missing'
  | 'output-missing'
  | 'peer-lost'
  | 'lease-lost'
  | 'drained'
  | 'cancelled'
  | 'dependency-failed'
  | 'internal';

/** What follows a failure of one kind. */
export interface FailurePolicy {
  /** Whose fault: `task` uses up the job's own `retries`, `mesh` has a budget of its own. */
  readonly charges: 'task' | 'mesh';
  /** Attempts repeated for failures of this kind, within the budget; 0: never again. */
  readonly retriesMax: number;
  /** What a person reads beside the kind. */
  readonly meaning: string;
}

const task = (meaning: string): FailurePolicy => ({
  charges: 'task',
  retriesMax: RETRIES_MAX,
  meaning,
});
const mesh = (retriesMax: number, meaning: string): FailurePolicy => ({
  charges: 'mesh',
  retriesMax,
  meaning,
});

export const FAILURE_POLICIES: Readonly<Record<FailureKind, FailurePolicy>> = {
  exit: task('the command ended with a failure'),
  'oom-task': task('the task used more memory than it asked for'),
  'oom-host': mesh(3, 'the machine ran out of memory'),
  'disk-task': task('the task wrote more than it asked for'),
  'disk-host': mesh(3, 'the machine ran out of disk space'),
  timeout: task('the task ran longer than its time limit'),
  'start-failed': mesh(2, 'the container could not be started'),
  'image-unavailable': mesh(1, 'the image was not found'),
  'image-platform': mesh(1, 'the image is for another platform'),
  'input-missing': mesh(2, 'the bytes of an input were not found'),
  'output-missing': task('a declared output was not there at the end'),
  'peer-lost': mesh(MESH_RETRIES_MAX, 'the peer that ran it vanished'),
  'lease-lost': mesh(MESH_RETRIES_MAX, 'the peer could not extend its claim'),
  drained: mesh(ATTEMPTS_PER_TASK_MAX, 'the peer was stopped by its owner'),
  cancelled: mesh(0, 'the run was cancelled'),
  'dependency-failed': mesh(0, 'a job it depends on failed'),
  internal: mesh(2, 'podmesh itself failed; please report it'),
};
