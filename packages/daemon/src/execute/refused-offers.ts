import {
  type AttemptStarted,
  type Claimed,
  type ClaimId,
  judgeOffer,
  type Offer,
  type PeerDirectory,
  type RunLog,
  type Sequence,
  type TaskEvent,
  unreachable,
} from '@podmesh/core';
import type { Logger } from 'pino';

/** A claim whose holder is at work is looked at again after this long: its next extension comes sooner. */
const HOLDER_AT_WORK_MS = 5_000;
/** Rest where the log and the refusal do not agree yet. */
const LOOK_AGAIN_MS = 2_000;

/** Remembered; forgetting costs one more look. */
const UNSPOKEN_MAX = 10_000;

export interface RefusedOffersParts {
  readonly log: RunLog;
  readonly peers: PeerDirectory;
  readonly logger: Logger;
  /** False while the mesh is back from an absence: who is not in the directory may yet come back to it. */
  readonly isDirectoryWhole?: (() => boolean) | undefined;
}

/** Offers whose `attempt-started` the log refused: duplicates, history, and attempts of peers that vanished. */
export class RefusedOffers {
  readonly #parts: RefusedOffersParts;
  readonly #holds: (claim: ClaimId) => boolean;
  /** Claims whose holder did not speak of them when we asked. */
  readonly #unspoken = new Set<ClaimId>();

  /** `holds`: whether this peer itself is at work on a claim. */
  constructor(parts: RefusedOffersParts, holds: (claim: ClaimId) => boolean) {
    this.#parts = parts;
    this.#holds = holds;
  }

  /** Somebody wrote about the task since the offer was made: the log tells what this offer is now. */
  async settle(claimed: Claimed<Offer>): Promise<void> {
    const { run, task } = claimed.value;
    const last = await this.#parts.log.lastOfTask(run, task);
    const isHeld = await this.#isHeld(last?.event);
    const verdict = judgeOffer(claimed.value, claimed.sequence, last, {
      holds: (claim) => this.#holds(claim),
      isHeld: () => isHeld,
    });
    switch (verdict.kind) {
      case 'start':
        // The append was refused and yet nothing newer is there: look again soon.
        return claimed.giveBack(LOOK_AGAIN_MS);
      case 'forget':
        return claimed.ack();
      case 'ours':
        return;
      case 'wait':
        return claimed.giveBack(HOLDER_AT_WORK_MS);
      case 'declare-lost':
        await this.#declareLost(verdict.lost, verdict.sequence);
        return claimed.ack();
      default:
        return unreachable(verdict);
    }
  }

  /** By the peer's own word; a claim it has not spoken of yet is given the time of a heartbeat. */
  async #isHeld(event: TaskEvent | undefined): Promise<boolean> {
    if (event?.kind !== 'attempt-started') return false;
    const holder = await this.#parts.peers.find(event.peer);
    if (holder === undefined) return this.#parts.isDirectoryWhole?.() === false;
    if (holder.claims.includes(event.claim)) return true;
    const seenBefore = this.#unspoken.has(event.claim);
    if (this.#unspoken.size >= UNSPOKEN_MAX) this.#unspoken.clear();
    this.#unspoken.add(event.claim);
    return !seenBefore;
  }

  async #declareLost(lost: AttemptStarted, sequence: Sequence): Promise<void> {
    const { run, task, attempt, claim, peer } = lost;
    const reason = 'its claim expired while the attempt was open';
    await this.#parts.log.append(
      { kind: 'attempt-lost', run, task, attempt, claim, peer, reason },
      sequence,
    );
    this.#parts.logger.info({ run, task, attempt, peer }, 'declared an attempt lost');
  }
}
