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

/** What the driver does after a failure of one kind. */
export interface FailurePolicy {
  /** Uses up one of the job's own `retries`; otherwise the infrastructure budget is charged. */
  readonly chargesRetry: boolean;
  /** Never tried again, whatever budget is left. */
  readonly final: boolean;
  /** What a person reads beside the kind. */
  readonly meaning: string;
}

export const FAILURE_POLICIES: Readonly<Record<FailureKind, FailurePolicy>> = {
  exit: {
    chargesRetry: true,
    final: false,
    meaning: 'the command ended with a failure',
  },
  'oom-task': {
    chargesRetry: true,
    final: false,
    meaning: 'the task used more memory than it asked for',
  },
  'oom-host': {
    chargesRetry: false,
    final: false,
    meaning: 'the machine ran out of memory',
  },
  'disk-task': {
    chargesRetry: true,
    final: false,
    meaning: 'the task wrote more than it asked for',
  },
  'disk-host': {
    chargesRetry: false,
    final: false,
    meaning: 'the machine ran out of disk space',
  },
  timeout: {
    chargesRetry: true,
    final: false,
    meaning: 'the task ran longer than its time limit',
  },
  'start-failed': {
    chargesRetry: false,
    final: false,
    meaning: 'the container could not be started',
  },
  'image-unavailable': {
    chargesRetry: false,
    final: false,
    meaning: 'the image was not found',
  },
  'image-platform': {
    chargesRetry: false,
    final: true,
    meaning: 'the image is for another platform',
  },
  'input-missing': {
    chargesRetry: false,
    final: false,
    meaning: 'the bytes of an input were not found',
  },
  'output-missing': {
    chargesRetry: true,
    final: false,
    meaning: 'a declared output was not there at the end',
  },
  'peer-lost': {
    chargesRetry: false,
    final: false,
    meaning: 'the peer that ran it vanished',
  },
  'lease-lost': {
    chargesRetry: false,
    final: false,
    meaning: 'the peer could not extend its claim',
  },
  drained: {
    chargesRetry: false,
    final: false,
    meaning: 'the peer was stopped by its owner',
  },
  cancelled: {
    chargesRetry: false,
    final: true,
    meaning: 'the run was cancelled',
  },
  'dependency-failed': {
    chargesRetry: false,
    final: true,
    meaning: 'a job it depends on failed',
  },
  internal: {
    chargesRetry: false,
    final: false,
    meaning: 'podmesh itself failed; please report it',
  },
};
