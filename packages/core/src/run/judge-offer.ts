import type { Logged, Sequence } from '../ports.ts';
import type { ClaimId, PeerId } from '../words/ids.ts';
import { unreachable } from '../words/unreachable.ts';
import type { Offer } from './offer.ts';
import type { AttemptStarted, TaskEvent } from './run-event.ts';

/** What a peer does with an offer it was handed. */
export type OfferVerdict =
  /** Nothing happened since the offer was made: append `attempt-started` and go. */
  | { readonly kind: 'start' }
  /** The offer is history, or a copy of one that is at work: acknowledge and forget. */
  | { readonly kind: 'forget'; readonly why: 'settled' | 'duplicate' }
  /** We ourselves run it under this very message: neither acknowledge nor give back. */
  | { readonly kind: 'ours' }
  /** Its holder is at work, the queue was only early (a restarted server redelivers at once): look again later. */
  | { readonly kind: 'wait' }
  /** Its holder is gone, or gave it up: append `attempt-lost` behind `sequence`, acknowledge. */
  | { readonly kind: 'declare-lost'; readonly lost: AttemptStarted; readonly sequence: Sequence };

export interface JudgeView {
  /** Whether this peer is at work on that claim right now. */
  readonly holds: (claim: ClaimId) => boolean;
  /** Whether the peer is in the directory and has that claim in hand, or may have it without having said so yet. */
  readonly isHeld: (peer: PeerId, claim: ClaimId) => boolean;
}

/**
 * Judges an offer by the newest fact about its task. Only the log is trusted: neither delivery
 * counts nor the absence of a message say anything (NATS.md §3.2).
 */
export function judgeOffer(
  offer: Offer,
  offerSequence: Sequence,
  last: Logged<TaskEvent> | undefined,
  view: JudgeView,
): OfferVerdict {
  if ((last?.sequence ?? 0) === offer.sequence) return { kind: 'start' };
  // A log that was purged after its run: the record outlived it, nothing runs again.
  if (last === undefined) return { kind: 'forget', why: 'settled' };
  const { event } = last;
  switch (event.kind) {
    case 'attempt-succeeded':
    case 'attempt-failed':
    case 'attempt-lost':
    case 'task-cached':
    case 'task-released':
    case 'task-cancelled':
    case 'outputs-kept':
    case 'job-expanded':
    case 'expansion-failed':
    case 'when-decided':
      return { kind: 'forget', why: 'settled' };
    case 'attempt-started':
      return judgeOpenAttempt(event, last.sequence, { offer, offerSequence, ...view });
    default:
      return unreachable(event);
  }
}

function judgeOpenAttempt(
  open: AttemptStarted,
  sequence: Sequence,
  view: JudgeView & { offer: Offer; offerSequence: Sequence },
): OfferVerdict {
  if (open.attempt !== view.offer.attempt || open.offerSequence !== view.offerSequence) {
    return { kind: 'forget', why: 'duplicate' };
  }
  if (view.holds(open.claim)) return { kind: 'ours' };
  if (view.isHeld(open.peer, open.claim)) return { kind: 'wait' };
  return { kind: 'declare-lost', lost: open, sequence };
}
