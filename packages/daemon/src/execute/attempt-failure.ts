import {
  type ArtifactId,
  ArtifactMissingError,
  ContainerLostError,
  ExternalStoreError,
  type Failure,
  type FailureKind,
  SecretMissingError,
} from '@podmesh/core';
import { DiskFullError, isFullDisk } from '../store/disk-full-error.ts';

/** Ends an attempt with a failure kind; thrown inside an attempt and nowhere else. */
export class AttemptFailure extends Error {
  readonly kind: FailureKind;
  /** Of the attempt's inputs and its image, those that could not be had. */
  readonly missing: readonly ArtifactId[] | undefined;
  constructor(
    kind: FailureKind,
    message: string,
    cause?: unknown,
    missing?: readonly ArtifactId[],
  ) {
    super(message, { cause });
    this.name = 'AttemptFailure';
    this.kind = kind;
    this.missing = missing;
  }
}

/**
 * Of the wait for an input: its producer may be done again, and by the digest of a file deep in a
 * directory nobody would know whose it is.
 */
export function failureOfInput(artifact: ArtifactId, error: unknown): unknown {
  if (!(error instanceof ArtifactMissingError)) return error;
  return new AttemptFailure('input-missing', error.message, error, [artifact]);
}

/**
 * Of the wait for a container that an earlier session started: what was lost was lost with that
 * session, which may have been killed before it was started, or while it ran. Every other failure is
 * the same as of a container of our own.
 */
export function failureOfAdopted(error: unknown): unknown {
  if (!(error instanceof ContainerLostError)) return error;
  const message = `this peer was killed while it had the task, and the container is lost: ${error.message}`;
  return new AttemptFailure('peer-lost', message, error);
}

/** What an attempt knows of its failure before it looks at what is left. */
export type AttemptProblem = Pick<Failure, 'kind' | 'message' | 'missing'>;

/** Any error as the one failure kind it means. */
export function failureOfError(error: unknown): AttemptProblem {
  if (error instanceof AttemptFailure) {
    const { kind, message, missing } = error;
    return { kind, message, ...(missing === undefined ? {} : { missing }) };
  }
  // What has to come from outside of the mesh: another peer may get it.
  if (error instanceof ExternalStoreError || error instanceof SecretMissingError)
    return { kind: 'input-missing', message: error.message };
  if (error instanceof ArtifactMissingError)
    return { kind: 'input-missing', message: error.message };
  // It names the disk, and what to do.
  if (error instanceof DiskFullError) return { kind: 'disk-host', message: error.message };
  if (isDiskFull(error)) {
    return { kind: 'disk-host', message: `the machine's disk is full: ${messageOf(error)}` };
  }
  return { kind: 'internal', message: messageOf(error) };
}

function isDiskFull(error: unknown): boolean {
  for (let at: unknown = error; at instanceof Error; at = at.cause) {
    if (isFullDisk(at)) return true;
  }
  return false;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
