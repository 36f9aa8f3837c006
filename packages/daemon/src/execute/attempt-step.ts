import type { JournalEntry } from './attempt-journal.ts';

/** The boundaries in the life of an attempt, in order: between any two of them a peer may die. */
export const ATTEMPT_STEPS = [
  'offer-claimed',
  'journal-written',
  'attempt-started',
  'image-resolved',
  'inputs-ready',
  'container-started',
  'start-noted',
  'container-ended',
  'outputs-stored',
  'log-stored',
  'result-recorded',
  'outcome-appended',
  'offer-settled',
  'container-removed',
  'journal-removed',
] as const;

export type AttemptStep = (typeof ATTEMPT_STEPS)[number];

/** The attempt that a step is of. */
export type AttemptInHand = Pick<JournalEntry, 'claim' | 'offer'>;

/** Called at every step; must not throw. */
export type OnStep = (step: AttemptStep, attempt: AttemptInHand) => void;
