import type { Random } from '../random.ts';

/** What may befall one call of a process. */
export type FaultKind =
  /** It dies; the request never leaves. */
  | 'crash-before'
  /** The effect happens; it dies without the answer. */
  | 'crash-after'
  /** No effect; a retryable error after the timeout. */
  | 'lose-request'
  /** The effect happens; a retryable error after the timeout. */
  | 'lose-answer'
  /** SIGSTOP; the request leaves when it thaws, maybe long after its lease. */
  | 'freeze-before'
  /** The effect happens; it learns so when it thaws. */
  | 'freeze-after'
  /** Its wire is cut for a while; it goes on working, alone. */
  | 'cut-off';

/** Lowest and highest of a random number of milliseconds. */
export type Span = readonly [number, number];

/** Everything that can go wrong with processes and their wires, and how often. */
export interface FaultPlan {
  /** Chance (0 to 1) of each fault at each call. */
  readonly chances: Readonly<Partial<Record<FaultKind, number>>>;
  /** Faults at fixed calls, by {@link World.callCount} from 1: so that every step boundary can be tried. */
  readonly at: ReadonlyMap<number, FaultKind>;
  /** One way, each way. */
  readonly latencyMs: Span;
  /** Chance that a message takes up to `slowMs` instead. */
  readonly slowChance: number;
  readonly slowMs: Span;
  /** After this long a call without an answer fails. */
  readonly timeoutMs: number;
  readonly freezeMs: Span;
  readonly cutOffMs: Span;
  /** From a crash to the next start. */
  readonly restartMs: Span;
  /** Chance that a lossy delivery vanishes. */
  readonly lostDeliveryChance: number;
  /** Chance that a watch falls silent, and for how long. */
  readonly silenceChance: number;
  readonly silenceMs: Span;
  /** From then on nothing goes wrong any more: whatever is still broken is repaired. */
  readonly faultsUntilMs: number;
}

/** A world in which nothing goes wrong. */
export const CALM: FaultPlan = {
  chances: {},
  at: new Map(),
  latencyMs: [0, 3],
  slowChance: 0,
  slowMs: [0, 0],
  timeoutMs: 3_000,
  freezeMs: [1_000, 40_000],
  cutOffMs: [1_000, 40_000],
  restartMs: [500, 30_000],
  lostDeliveryChance: 0,
  silenceChance: 0,
  silenceMs: [0, 0],
  faultsUntilMs: 0,
};

/** A calm world with one fault at the n-th call, n from 1. */
export function faultAtCall(call: number, fault: FaultKind): FaultPlan {
  return { ...CALM, at: new Map([[call, fault]]), faultsUntilMs: Number.POSITIVE_INFINITY };
}

/**
 * A plan drawn from a seed. Each kind of fault is absent, rare or frequent in a whole run ("swarm
 * testing"): runs in which everything happens at once hide what one kind alone would show.
 */
export function stormyPlan(random: Random, faultsUntilMs = 120_000): FaultPlan {
  const severity = (most: number) => random.pick([0, 0, most / 10, most]) ?? 0;
  return {
    ...CALM,
    chances: {
      'crash-before': severity(0.02),
      'crash-after': severity(0.02),
      'lose-request': severity(0.1),
      'lose-answer': severity(0.1),
      'freeze-before': severity(0.02),
      'freeze-after': severity(0.02),
      'cut-off': severity(0.01),
    },
    latencyMs: random.pick([[0, 1] as const, [1, 20] as const, [0, 200] as const]) ?? [0, 1],
    slowChance: severity(0.05),
    slowMs: [200, 2_500],
    lostDeliveryChance: severity(0.2),
    silenceChance: severity(0.2),
    silenceMs: [1_000, 60_000],
    faultsUntilMs,
  };
}
