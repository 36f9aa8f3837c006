import {
  type ArtifactId,
  type ArtifactRef,
  type ClaimId,
  type Offer,
  type Sequence,
  TASK_PUT_BYTES_DEFAULT,
  TASK_PUTS_MAX,
} from '@podmesh/core';
import type { Reservation } from '../claim/capacity-ledger.ts';
import { mebibytes } from '../machine/mebibytes.ts';
import { TaskApiError } from './task-api-error.ts';

/** An attempt whose container runs, or is about to. */
export interface AttemptAtWork {
  readonly offer: Offer;
  readonly claim: ClaimId;
  /** Where its `attempt-started` is in the log: who has read less of that does not know it. */
  readonly startedSequence: Sequence;
  /** What it holds of the machine. */
  readonly reservation: Reservation;
  /** Takes the secrets of the task out of what it says; absent: it has none. */
  readonly maskText?: (text: string) => string;
}

/** What the API keeps of one attempt while that runs. */
export class TaskAtWork {
  readonly offer: Offer;
  readonly claim: ClaimId;
  readonly startedSequence: Sequence;
  /** Aborts when the attempt is over: nothing is answered any more. */
  readonly over = new AbortController();
  readonly maskText: (text: string) => string;
  readonly #reservation: Reservation;
  #waits = 0;
  #requests = 0;
  #streams = 0;
  #putBytes = 0;
  readonly #held = new Map<ArtifactId, ArtifactRef>();

  #turn: Promise<unknown> = Promise.resolve();

  constructor({ offer, claim, startedSequence, reservation, maskText }: AttemptAtWork) {
    this.maskText = maskText ?? ((text) => text);
    this.offer = offer;
    this.claim = claim;
    this.startedSequence = startedSequence;
    this.#reservation = reservation;
  }

  /** Counts a request while it is answered. Throws `too-many-requests`. */
  async asRequest<T>(most: number, work: () => Promise<T>): Promise<T> {
    if (this.#requests >= most)
      throw new TaskApiError(
        'too-many-requests',
        `${most} requests of this task are being answered already; wait for one of them`,
      );
    this.#requests += 1;
    try {
      return await work();
    } finally {
      this.#requests -= 1;
    }
  }

  /** A place for one more artifact on its way; call what is returned when it is there. Throws `too-many-requests`. */
  takeStream(most: number): () => void {
    if (this.#streams >= most)
      throw new TaskApiError(
        'too-many-requests',
        `${most} artifacts of this task are on their way already; wait for one of them`,
      );
    this.#streams += 1;
    let isTaken = true;
    return () => {
      if (isTaken) this.#streams -= 1;
      isTaken = false;
    };
  }

  /** What it put, and nothing but the task may know of yet. */
  get held(): ReadonlyMap<ArtifactId, ArtifactRef> {
    return this.#held;
  }

  /**
   * Counts the bytes of an artifact that it puts against what it may put: what its job asks for as disk, as they all end up on
   * disks. Throws `budget-exceeded`. What was counted is given back unless `keep` is called.
   */
  putting(): {
    count(bytes: number): void;
    keep(artifact: ArtifactRef): void;
    end(): void;
  } {
    const { diskBytes } = this.offer.requirements;
    const most = diskBytes > 0 ? diskBytes : TASK_PUT_BYTES_DEFAULT;
    if (this.#held.size >= TASK_PUTS_MAX)
      throw new TaskApiError(
        'budget-exceeded',
        `an attempt puts ${TASK_PUTS_MAX} artifacts at most`,
      );
    let counted = 0;
    return {
      count: (bytes) => {
        counted += bytes;
        this.#putBytes += bytes;
        if (this.#putBytes <= most) return;
        const what = diskBytes > 0 ? 'it asked for' : 'that a task may put which asks for none';
        throw new TaskApiError(
          'budget-exceeded',
          `this attempt puts more than the ${mebibytes(most)} of disk ${what}: ask for more with needs.disk`,
        );
      },
      keep: (artifact) => {
        // The same bytes again take no room.
        if (!this.#held.has(artifact.digest)) counted = 0;
        this.#held.set(artifact.digest, artifact);
      },
      end: () => {
        this.#putBytes -= counted;
        counted = 0;
      },
    };
  }

  /** Begins when all that came before is done. */
  inTurn<T>(work: () => Promise<T>): Promise<T> {
    const mine = this.#turn.then(work);
    this.#turn = mine.catch(() => undefined);
    return mine;
  }

  /**
   * While the task waits for others it gives its cores back; when the last wait is over it takes them again, at once and
   * whether they are free or not: to wait for them would be a deadlock.
   */
  async whileWaiting<T>(work: () => Promise<T>): Promise<T> {
    this.#waits += 1;
    if (this.#waits === 1) this.#reservation.lendCores();
    try {
      return await work();
    } finally {
      this.#waits -= 1;
      if (this.#waits === 0) this.#reservation.takeCoresBack();
    }
  }
}
