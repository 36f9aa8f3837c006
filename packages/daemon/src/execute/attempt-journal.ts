import type { ClaimId, ClaimTicket, Offer, Sequence } from '@podmesh/core';

/**
 * What a restarted daemon must know to go on with an attempt whose container is still there. Written before
 * `attempt-started`: every open attempt of ours has an entry, and an entry is an open attempt of ours exactly
 * when the newest fact of its task is an `attempt-started` with its claim.
 */
export interface JournalEntry {
  readonly claim: ClaimId;
  readonly offer: Offer;
  /** Sequence of our `attempt-started`, once there is one: not on disk, the log knows it. */
  readonly startedSequence?: Sequence;
  readonly ticket: ClaimTicket;
  /** The image id behind a reference when the attempt began: a tag may have been moved since. */
  readonly image?: string;
  /** Present once its container was started, as far as was noted. */
  readonly started?: StartNote;
}

/** An attempt that the log says is open, and ours. */
export interface OpenAttempt extends JournalEntry {
  /** Where the outcome has to land. */
  readonly startedSequence: Sequence;
}

export interface StartNote {
  /** How long ago; of an earlier start of the machine, nothing is known. */
  readonly ranMs: number;
  /** False: the machine was restarted since, and nothing that ran then runs now. */
  readonly isOfThisBoot: boolean;
  /** The image id that runs. */
  readonly image?: string;
}

/** Attempts that were, or were about to be, begun and are not settled, on this machine's disk. */
export interface AttemptJournal {
  write(entry: JournalEntry): Promise<void>;
  /** Of an entry that was written: its container runs. */
  noteStarted(claim: ClaimId, image: string): Promise<void>;
  remove(claim: ClaimId): Promise<void>;
  list(): Promise<readonly JournalEntry[]>;
}
