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

/** What follows a failure of one kind, unless the job's `retries` says otherwise for it. */
export interface FailurePolicy {
  /** Whose fault it is: `task` uses up attempts of the job, `mesh` does not. */
  readonly charges: 'task' | 'mesh';
  /** From what it is repeated: the job's own `retries`, together with other kinds, or a budget of its own. */
  readonly budget: 'job' | number;
  /** Whether the next attempt prefers a peer on which the task did not fail. */
  readonly nextPeer: 'any' | 'another';
  /** What the next attempt gets. */
  readonly memory: 'same' | 'double';
  /** Whether a task that failed so on two different peers is held for a person. */
  readonly holds: boolean;
  /** What a person reads beside the kind. */
  readonly meaning: string;
}

const task = (meaning: string): FailurePolicy => ({
  charges: 'task',
  budget: 'job',
  nextPeer: 'any',
  memory: 'same',
  holds: false,
  meaning,
});
const mesh = (budget: number, meaning: string): FailurePolicy => ({
  charges: 'mesh',
  budget,
  nextPeer: 'another',
  memory: 'same',
  holds: false,
  meaning,
});

/** The one table of what each kind means and what follows it. */
export const FAILURE_POLICIES: Readonly<Record<FailureKind, FailurePolicy>> = {
  exit: task('the command ended with a failure'),
  // Repeated without being asked for: with more memory it is another attempt, not the same again.
  'oom-task': {
    ...task('the task used more memory than it asked for'),
    budget: 3,
    memory: 'double',
  },
  'oom-host': mesh(5, 'the machine ran out of memory'),
  'disk-task': task('the task wrote more than it asked for'),
  'disk-host': mesh(5, 'the machine ran out of disk space'),
  timeout: task('the task ran longer than its time limit'),
  'start-failed': mesh(5, 'the container could not be started'),
  'image-unavailable': mesh(3, 'the image was not found'),
  'image-platform': mesh(3, 'the image is for another platform'),
  'input-missing': mesh(2, 'the bytes of an input were not found'),
  'output-missing': task('a declared output was not there at the end'),
  'peer-lost': { ...mesh(10, 'the peer that ran it vanished'), holds: true },
  'lease-lost': mesh(10, 'the peer could not extend its claim'),
  drained: mesh(49, 'the peer was stopped by its owner'),
  cancelled: mesh(0, 'the run was cancelled'),
  'dependency-failed': mesh(0, 'a job it depends on failed'),
  internal: mesh(2, 'podmesh itself failed; please report it'),
};

/** All kinds, for whoever has to name them. */
export const FAILURE_KINDS = Object.keys(FAILURE_POLICIES) as readonly FailureKind[];
