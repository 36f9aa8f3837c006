import type { ArtifactKind, ArtifactRef, ClaimId, LogRef, OutputEntry } from '@podmesh/core';

/** The files of attempts on this machine: what containers read and what they leave behind. */
export interface TaskFiles {
  /** Makes the bytes present here; the path of the read-only file or directory. Throws `ArtifactMissingError`. */
  input(artifact: ArtifactRef): Promise<string>;
  /** Stores what a task left behind, here and where every peer can reach it, and verifies it. */
  storeOutput(kind: ArtifactKind, entries: AsyncIterable<OutputEntry>): Promise<ArtifactRef>;
  /** A private, empty directory for one attempt, gone with `removeScratch`. */
  scratch(claim: ClaimId): Promise<string>;
  removeScratch(claim: ClaimId): Promise<void>;
  /** Keeps the log of an attempt until it is stored as an artifact. */
  openLog(): LogSpool;
}

export interface LogSpool {
  /** Never blocks, never throws; bytes beyond `LOG_BYTES_MAX` are dropped and the log marked truncated. */
  write(stream: 'stdout' | 'stderr', bytes: Uint8Array): void;
  /** Stores the log as an artifact that every peer can reach. */
  store(): Promise<LogRef>;
  /** The end of standard error as text, at most `STDERR_TAIL_BYTES_MAX`. */
  stderrTail(): string;
  /** Frees what the spool holds; harmless when called twice. */
  discard(): Promise<void>;
}
