import { type ClaimId, type Failure, type FailureKind, unreachable } from '@podmesh/core';

/** Attempts of one peer that fail in a row by its own fault before it stops claiming. */
export const FAILURES_IN_A_ROW_MAX = 3;
/** From the opening to the first canary; doubles with every canary or trial that fails. */
const REST_MS_MIN = 5_000;
const REST_MS_MAX = 60_000;

/** Jobs remembered that fail here all by themselves; forgetting one costs three attempts. */
const SUSPECTS_MAX = 100;

/** Whether a peer claims, by what happened to its last attempts. */
export type Circuit =
  /** Claims. `failing`: the jobs of the failures in a row, one for each. */
  | { readonly kind: 'closed'; readonly failing: readonly string[]; readonly suspects: Suspects }
  /** Just started: claims nothing before its first canary. */
  | { readonly kind: 'untested' }
  /** Claims nothing until a canary does well; `trials`: how often that was tried, or believed, in vain. */
  | {
      readonly kind: 'open';
      readonly reason: string;
      readonly trials: number;
      readonly failing: readonly string[];
      readonly suspects: Suspects;
    }
  /** A canary did well: one attempt decides, none of those that were under way before. */
  | {
      readonly kind: 'half-open';
      readonly trials: number;
      readonly before: ReadonlySet<ClaimId>;
      readonly suspects: Suspects;
    };

/**
 * Jobs, `<run>/<job>`, that failed all by themselves while a canary did well. Either this machine lacks
 * what they need, or every machine does: they are left to others, and their failures close nothing.
 */
type Suspects = readonly Suspect[];

export interface Suspect {
  /** `<run>/<job>`. */
  readonly job: string;
  /** What opened the circuit. */
  readonly reason: string;
}

export type EndingForCircuit = 'succeeded' | Pick<Failure, 'kind' | 'message'>;

export interface EndedAttempt {
  readonly claim: ClaimId;
  /** `<run>/<job>`. */
  readonly job: string;
  readonly ending: EndingForCircuit;
}

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

export function afterAttempt(circuit: Circuit, { claim, job, ending }: EndedAttempt): Circuit {
  // What was under way when it opened tells nothing new.
  if (circuit.kind === 'open' || circuit.kind === 'untested') return circuit;
  if (circuit.kind === 'half-open' && circuit.before.has(claim)) return circuit;
  const evidence = ending === 'succeeded' ? 'works' : EVIDENCE[ending.kind];
  const { suspects } = circuit;
  if (evidence === 'nothing') return circuit;
  if (ending === 'succeeded' || evidence === 'works') {
    return { kind: 'closed', failing: [], suspects: without(suspects, job) };
  }
  if (suspects.some((suspect) => suspect.job === job)) return circuit;
  const end = `${ending.kind}: ${ending.message}`;
  if (circuit.kind === 'half-open') {
    const reason = `a trial after a good canary failed: ${end}`;
    return { kind: 'open', reason, trials: circuit.trials + 1, failing: [], suspects };
  }
  const failing = [...circuit.failing, job];
  if (failing.length < FAILURES_IN_A_ROW_MAX) return { kind: 'closed', failing, suspects };
  const reason = `${failing.length} attempts in a row failed by this machine's fault, the last one: ${end}`;
  return { kind: 'open', reason, trials: 0, failing, suspects };
}

/** `trouble`: what the canary found; undefined when it did well. `inHand`: attempts under way. */
export function afterCanary(
  circuit: Circuit,
  trouble: string | undefined,
  inHand: readonly ClaimId[],
): Circuit {
  switch (circuit.kind) {
    case 'closed':
    case 'half-open':
      return circuit;
    case 'untested':
      return trouble === undefined
        ? { kind: 'closed', failing: [], suspects: [] }
        : { kind: 'open', reason: canaryText(trouble), trials: 0, failing: [], suspects: [] };
    case 'open': {
      const { reason, trials, failing, suspects } = circuit;
      if (trouble !== undefined) {
        return {
          kind: 'open',
          reason: canaryText(trouble),
          trials: trials + 1,
          failing: [],
          suspects,
        };
      }
      const [job, ...others] = new Set(failing);
      if (job === undefined || others.length > 0) {
        return { kind: 'half-open', trials, before: new Set(inHand), suspects };
      }
      const known = [...suspects, { job, reason }].slice(-SUSPECTS_MAX);
      return { kind: 'closed', failing: [], suspects: known };
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

/** Whether one more attempt may be begun beside those in hand. */
export function mayBegin(circuit: Circuit, inHand: readonly ClaimId[]): boolean {
  if (circuit.kind !== 'half-open') return circuit.kind === 'closed';
  return inHand.every((claim) => circuit.before.has(claim));
}

/** Jobs that are left to others, and why; the newest last. */
export function suspectsOf(circuit: Circuit): Suspects {
  return circuit.kind === 'untested' ? [] : circuit.suspects;
}

/** Why it claims nothing; undefined while it claims. */
export function circuitReason(circuit: Circuit, inHand: readonly ClaimId[]): string | undefined {
  switch (circuit.kind) {
    case 'closed':
      return undefined;
    case 'untested':
      return 'trying a canary container first';
    case 'half-open':
      return mayBegin(circuit, inHand)
        ? undefined
        : 'one attempt is under way that decides whether this machine works again';
    case 'open':
      return `${circuit.reason}; it tries a canary container now and then, and claims again when that does well (podmesh doctor tells more)`;
    default:
      return unreachable(circuit);
  }
}

/** The same list when nobody goes: its identity tells whether something changed. */
function without(suspects: Suspects, job: string): Suspects {
  const left = suspects.filter((suspect) => suspect.job !== job);
  return left.length === suspects.length ? suspects : left;
}

const canaryText = (trouble: string): string => `a canary container failed: ${trouble}`;
