import type { Offer, RunEnded, RunId } from '@podmesh/core';
import type { AttemptInHand } from '../execute/attempt-step.ts';
import type { Ending } from '../execute/container-run-parts.ts';

/** The parts of an attempt's life that somebody may want to see, in order. */
export const STAGES = ['start', 'fetch', 'run', 'store', 'done'] as const;

export type Stage = (typeof STAGES)[number];

/** From when to when, in milliseconds since 1970 by this machine's clock, as one that only goes forward tells them. */
export interface Span {
  readonly fromMs: number;
  readonly toMs: number;
}

/**
 * How an attempt ended here; `unpublished`: it had passed on to somebody else. Absent: its claim was somebody else's
 * before it began.
 */
export interface AttemptEnd {
  readonly attempt: AttemptInHand;
  readonly ending: Ending;
  readonly isPublished: boolean;
}

/** Who is told what happens in a daemon: metrics, traces. Must not throw, and must be quick. */
export interface Observer {
  /** A part of an attempt is over; `isFailed`: the attempt ended in it. */
  stage?(attempt: AttemptInHand, stage: Stage, span: Span, isFailed: boolean): void;
  attemptEnded?(end: AttemptEnd, span: Span): void;
  /** This peer, as a driver, put these into the queue. */
  offered?(offers: readonly Offer[], span: Span): void;
  /** This peer drives the run as its first driver. */
  published?(run: RunId, span: Span): void;
  /** This peer, as its driver, ended the run, which was published at `fromMs`. */
  runEnded?(event: RunEnded, span: Span): void;
}
