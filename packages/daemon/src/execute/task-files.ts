import type {
  ArtifactKind,
  ArtifactRef,
  ClaimId,
  LogRef,
  OutputEntry,
  RunId,
  TaskId,
} from '@podmesh/core';

/** The files of attempts on this machine: what containers read and what they leave behind. */
export interface TaskFiles {
  /**
   * Makes the bytes present here, and keeps them until the claim is released; the path of the read-only file or
   * directory. Throws `ArtifactMissingError`, `DiskFullError`, or the signal's reason.
   */
  input(artifact: ArtifactRef, wish: InputWish): Promise<string>;
  /**
   * Stores what a task left behind, here and where every peer can reach it, and verifies it. `owner`: whose output it
   * will be. Of a success what is large stays here alone, pinned until its driver knows that others have it too; of an
   * attempt that failed only what the mesh has no room for does, and another peer has it when this resolves, if one can
   * and `stop` leaves it the time; both let go what an earlier attempt left.
   */
  storeOutput(
    kind: ArtifactKind,
    entries: AsyncIterable<OutputEntry>,
    owner?: OutputOwner,
    stop?: AbortSignal,
  ): Promise<StoredOutput>;
  /** Where a private directory of one attempt may be made; gone with `release`. */
  scratch(claim: ClaimId): string;
  /** The attempt is settled: its directory goes, and what was kept of its log, if that was not stored; its inputs may. */
  release(claim: ClaimId): Promise<void>;
  /** Keeps the log of an attempt, from its beginning, until it is stored as an artifact. */
  openLog(claim: ClaimId, of: TaskOfRun): LogSpool;
  /** Goes on with what an earlier daemon kept of an attempt's log. What cannot be had of it counts as cut off. */
  reopenLog(claim: ClaimId, of: TaskOfRun): Promise<LogSpool>;
}

export interface TaskOfRun {
  readonly run: RunId;
  readonly task: TaskId;
}

/** `apart`: of an attempt that failed, the one with that number. */
export interface OutputOwner extends TaskOfRun {
  readonly apart?: true;
  readonly attempt?: number;
}

/** `bulk`: some of its bytes are on this disk alone. */
export interface StoredOutput extends ArtifactRef {
  readonly bulk?: true;
}

/** Who wants an input. */
export interface InputWish {
  readonly claim: ClaimId;
  /** Ends the wait. */
  readonly signal: AbortSignal;
}

export interface LogSpool {
  /** Never blocks, never throws; bytes beyond `LOG_BYTES_MAX` are dropped and the log marked truncated. */
  write(stream: 'stdout' | 'stderr', bytes: Uint8Array): void;
  /**
   * Stores the log as an artifact that every peer can reach; where the mesh has no room, on another peer's disk too.
   * That is not waited for much longer than until `stop`.
   */
  store(stop?: AbortSignal): Promise<LogRef>;
  /** The end of standard error as text, at most `STDERR_TAIL_BYTES_MAX`. */
  stderrTail(): string;
  /** Frees what the spool holds; harmless when called twice. */
  discard(): Promise<void>;
}
