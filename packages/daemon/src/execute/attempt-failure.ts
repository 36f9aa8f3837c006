import { ArtifactMissingError, type Failure, type FailureKind } from '@podmesh/core';

/** Ends an attempt with a failure kind; thrown inside an attempt and nowhere else. */
export class AttemptFailure extends Error {
  readonly kind: FailureKind;
  constructor(kind: FailureKind, message: string, cause?: unknown) {
    super(message, { cause });
    this.name = 'AttemptFailure';
    this.kind = kind;
  }
}

/** Killed between creating a container and starting it, a daemon finds one that will never end. */
export function neverRan(error: unknown): AttemptFailure {
  const why = error instanceof Error ? error.message : String(error);
  return new AttemptFailure(
    'peer-lost',
    `this peer was killed at the start of a task: ${why}`,
    error,
  );
}

/** Any error as the one failure kind it means. */
export function failureOfError(error: unknown): Pick<Failure, 'kind' | 'message'> {
  if (error instanceof AttemptFailure) return { kind: error.kind, message: error.message };
  if (error instanceof ArtifactMissingError)
    return { kind: 'input-missing', message: error.message };
  if (isDiskFull(error)) {
    return { kind: 'disk-host', message: `the machine's disk is full: ${messageOf(error)}` };
  }
  return { kind: 'internal', message: messageOf(error) };
}

function isDiskFull(error: unknown): boolean {
  for (let at: unknown = error; at instanceof Error; at = at.cause) {
    if ('code' in at && (at.code === 'ENOSPC' || at.code === 'EDQUOT')) return true;
  }
  return false;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
