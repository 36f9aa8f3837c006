import { type ClaimId, unreachable } from '@podmesh/core';
import type { AttemptInHand, AttemptStep } from '../execute/attempt-step.ts';
import type { Ending } from '../execute/container-run-parts.ts';
import { type Observer, STAGES, type Stage } from './observer.ts';

/** Attempts that are followed at the same time; the oldest, of which nothing was heard for long, make room. */
const FOLLOWED_MAX = 4_096;

interface Followed {
  readonly beganMs: number;
  /** When the last stage ended, and which one comes now. */
  sinceMs: number;
  stage: Stage;
  ending?: Ending;
  isPublished: boolean;
}

/** Makes stages of the steps of attempts. */
export class AttemptStages {
  readonly #observers: readonly Observer[];
  readonly #nowMs: () => number;
  readonly #followed = new Map<ClaimId, Followed>();

  constructor(observers: readonly Observer[], nowMs: () => number) {
    this.#observers = observers;
    this.#nowMs = nowMs;
  }

  step(step: AttemptStep, attempt: AttemptInHand): void {
    switch (step) {
      case 'offer-claimed':
        this.#follow(attempt, 'start');
        return;
      case 'attempt-started':
        this.#endStage(attempt, 'start');
        return;
      case 'inputs-ready':
        this.#endStage(attempt, 'fetch');
        return;
      case 'container-ended':
        this.#endStage(attempt, 'run');
        return;
      case 'log-stored':
        this.#endStage(attempt, 'store');
        return;
      case 'outcome-appended':
        this.#endStage(attempt, 'done');
        this.#published(attempt);
        return;
      case 'journal-removed':
        this.#end(attempt);
        return;
      case 'journal-written':
      case 'image-resolved':
      case 'container-started':
      case 'start-noted':
      case 'outputs-stored':
      case 'result-recorded':
      case 'offer-settled':
      case 'container-removed':
        return;
      default:
        unreachable(step);
    }
  }

  /** Known, and not yet published. */
  ended(attempt: AttemptInHand, ending: Ending): void {
    // An adopted one may end before any of its steps was seen.
    const followed = this.#followed.get(attempt.claim) ?? this.#follow(attempt, 'done');
    followed.ending = ending;
    if (ending.kind === 'failed' && followed.stage !== 'done')
      this.#tellStage(attempt, followed, true);
    followed.stage = 'done';
  }

  #follow({ claim }: AttemptInHand, stage: Stage): Followed {
    const nowMs = this.#nowMs();
    const followed: Followed = { beganMs: nowMs, sinceMs: nowMs, stage, isPublished: false };
    this.#followed.set(claim, followed);
    const [oldest] = this.#followed.keys();
    if (this.#followed.size > FOLLOWED_MAX && oldest !== undefined) this.#followed.delete(oldest);
    return followed;
  }

  #endStage(attempt: AttemptInHand, stage: Stage): void {
    const followed = this.#followed.get(attempt.claim);
    // Of an adopted one nobody knows when this stage began.
    if (followed === undefined) {
      this.#follow(attempt, next(stage));
      return;
    }
    followed.stage = stage;
    this.#tellStage(attempt, followed, false);
    followed.stage = next(stage);
  }

  #tellStage(attempt: AttemptInHand, followed: Followed, isFailed: boolean): void {
    const span = { fromMs: followed.sinceMs, toMs: Math.max(followed.sinceMs, this.#nowMs()) };
    for (const one of this.#observers) one.stage?.(attempt, followed.stage, span, isFailed);
    followed.sinceMs = span.toMs;
  }

  #published({ claim }: AttemptInHand): void {
    const followed = this.#followed.get(claim);
    if (followed !== undefined) followed.isPublished = true;
  }

  #end(attempt: AttemptInHand): void {
    const followed = this.#followed.get(attempt.claim);
    this.#followed.delete(attempt.claim);
    if (followed?.ending === undefined) return;
    const { ending, isPublished, beganMs, sinceMs } = followed;
    // What is cleaned up after the outcome is no part of the attempt.
    const span = {
      fromMs: beganMs,
      toMs: isPublished ? sinceMs : Math.max(sinceMs, this.#nowMs()),
    };
    for (const one of this.#observers) one.attemptEnded?.({ attempt, ending, isPublished }, span);
  }
}

const next = (stage: Stage): Stage => STAGES[STAGES.indexOf(stage) + 1] ?? 'done';
