import { type Failure, type FailureKind, unreachable } from '@podmesh/core';

/** Attempts of one peer that fail in a row by its own fault before it stops claiming. */
export const FAILURES_IN_A_ROW_MAX = 3;
/** From the opening to the first canary; doubles with every canary or trial that fails. */
const REST_MS_MIN = 5_000;
const REST_MS_MAX = 60_000;

/** Whether a peer claims, by what happened to its last attempts. */
export type Circuit =
  /** Claims; so many failures in a row. */
  | { readonly kind: 'closed'; readonly failures: number }
  /** Just started: claims nothing before its first canary. */
  | { readonly kind: 'untested' }
  /** Claims nothing until a canary does well; `trials`: how often that was tried, or believed, in vain. */
  | { readonly kind: 'open'; readonly reason: string; readonly trials: number }
  /** A canary did well: one attempt decides. */
  | { readonly kind: 'half-open'; readonly trials: number };

export type EndingForCircuit = 'succeeded' | Pick<Failure, 'kind' | 'message'>;

/**
 * What the end of an attempt says about the machine. `broken`: it could not do its part. `works`: the
 * container ran, whatever became of the task. `nothing`: something else decided.
 */
const EVIDENCE: Readonly<Record<FailureKind, 'broken' | 'works' | 'nothing'>> = {
  'start-failed': 'broken',
  'oom-host': 'broken',
  'disk-host': 'broken',
  internal: 'broken',
  exit: 'works',
  'oom-task': 'works',
  'disk-task': 'works',
  timeout: 'works',
  'output-missing': 'works',
  // Says more about the name than about the machine: one wrong name in a large run must not stop all
  // peers, and a canary, whose image is here, could tell nothing about a registry.
  'image-unavailable': 'nothing',
  'image-platform': 'nothing',
  'input-missing': 'nothing',
  'peer-lost': 'nothing',
  'lease-lost': 'nothing',
  drained: 'nothing',
  cancelled: 'nothing',
  'dependency-failed': 'nothing',
};

export const UNTESTED: Circuit = { kind: 'untested' };
const CLOSED: Circuit = { kind: 'closed', failures: 0 };

export function afterAttempt(circuit: Circuit, ending: EndingForCircuit): Circuit {
  const evidence = ending === 'succeeded' ? 'works' : EVIDENCE[ending.kind];
  // What was under way when it opened tells nothing new.
  if (evidence === 'nothing' || circuit.kind === 'open' || circuit.kind === 'untested') {
    return circuit;
  }
  if (ending === 'succeeded' || evidence === 'works') return CLOSED;
  if (circuit.kind === 'half-open') {
    const reason = `a trial after a good canary failed: ${ending.kind}: ${ending.message}`;
    return { kind: 'open', reason, trials: circuit.trials + 1 };
  }
  const failures = circuit.failures + 1;
  if (failures < FAILURES_IN_A_ROW_MAX) return { kind: 'closed', failures };
  const reason = `${failures} attempts in a row failed by this machine's fault, the last one: ${ending.kind}: ${ending.message}`;
  return { kind: 'open', reason, trials: 0 };
}

/** `trouble`: what the canary found; undefined when it did well. */
export function afterCanary(circuit: Circuit, trouble: string | undefined): Circuit {
  switch (circuit.kind) {
    case 'closed':
    case 'half-open':
      return circuit;
    case 'untested':
      return trouble === undefined ? CLOSED : { kind: 'open', reason: told(trouble), trials: 0 };
    case 'open': {
      const { trials } = circuit;
      if (trouble === undefined) return { kind: 'half-open', trials };
      return { kind: 'open', reason: told(trouble), trials: trials + 1 };
    }
    default:
      return unreachable(circuit);
  }
}

/** How long until the next canary; undefined when none is wanted. */
export function canaryRestMs(circuit: Circuit): number | undefined {
  switch (circuit.kind) {
    case 'closed':
    case 'half-open':
      return undefined;
    case 'untested':
      return 0;
    case 'open':
      return Math.min(REST_MS_MAX, REST_MS_MIN * 2 ** circuit.trials);
    default:
      return unreachable(circuit);
  }
}

/** How many attempts the peer may have in hand. */
export function attemptsAllowed({ kind }: Circuit): number {
  if (kind === 'half-open') return 1;
  return kind === 'closed' ? Number.POSITIVE_INFINITY : 0;
}

/** Why it claims nothing; undefined while it claims. */
export function circuitReason(circuit: Circuit): string | undefined {
  if (circuit.kind === 'untested') return 'trying a canary container first';
  if (circuit.kind !== 'open') return undefined;
  return `${circuit.reason}; it tries a canary container now and then, and claims again when that does well (podmesh doctor tells more)`;
}

const told = (trouble: string): string => `a canary container failed: ${trouble}`;
