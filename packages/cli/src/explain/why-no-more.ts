import {
  FAILURE_POLICIES,
  type FailureKind,
  MESH_RETRIES_MAX,
  type PastAttempt,
  type PeerEntry,
  type Requirements,
  type Retries,
} from '@podmesh/core';
import { bytesText, countText } from '../render/amounts.ts';
import { nextRequirements } from './next-requirements.ts';

/** A task that failed for good, and what may be known of the mesh. */
export interface GivenUp {
  readonly kind: FailureKind;
  readonly past: readonly PastAttempt[];
  readonly retries: Retries;
  /** What its job asks for. */
  readonly requirements: Requirements;
  readonly peers: readonly PeerEntry[];
}

/** Which limit of the policy (core, `afterFailure`) ended the attempts, in a few words. */
export function whyNoMore(given: GivenUp): string {
  const { kind, past, retries } = given;
  const { budget } = FAILURE_POLICIES[kind];
  const named = retries.byKind?.[kind];
  const own = named ?? (budget === 'job' ? undefined : budget);
  const failures = past.flatMap(({ outcome }) =>
    outcome === 'succeeded' ? [] : [outcome.failure.kind],
  );
  if (own === undefined) {
    const shared = failures.filter((one) => sharesJobBudget(one, retries)).length;
    return shared > retries.task ? jobBudgetText(kind, retries) : attemptsText(failures.length);
  }
  if (failures.filter((one) => one === kind).length <= own) {
    return failures.filter((one) => triesPatience(one, retries)).length > MESH_RETRIES_MAX
      ? `of all that the mesh may do wrong, ${MESH_RETRIES_MAX} attempts are repeated at most`
      : attemptsText(failures.length);
  }
  const memory = FAILURE_POLICIES[kind].memory === 'double' ? memoryText(given) : '';
  if (named !== undefined) return `"retries" allows ${named} for ${kind}${memory && `, ${memory}`}`;
  if (memory !== '') return `tried ${own} times ${memory}`;
  return own === 0 ? `${kind} is not repeated` : `${kind} is repeated ${own} times at most`;
}

function sharesJobBudget(kind: FailureKind, { byKind }: Retries): boolean {
  return FAILURE_POLICIES[kind].budget === 'job' && byKind?.[kind] === undefined;
}

function triesPatience(kind: FailureKind, { byKind }: Retries): boolean {
  const { charges } = FAILURE_POLICIES[kind];
  return charges === 'mesh' && kind !== 'drained' && byKind?.[kind] === undefined;
}

/** A table of kinds says nothing about others by itself. */
function jobBudgetText(kind: FailureKind, { task, byKind }: Retries): string {
  return byKind === undefined ? `"retries" is ${task}` : `"retries" has nothing for ${kind}`;
}

const attemptsText = (made: number): string =>
  `${countText(made, 'attempt')} of a task are the most`;

/** `with more memory, up to 2 GiB`: what the last attempt asked for; empty where that was never more. */
function memoryText({ past, requirements, peers }: GivenUp): string {
  const last = nextRequirements(requirements, past.slice(0, -1), peers).memoryBytes;
  return last > requirements.memoryBytes ? `with more memory, up to ${bytesText(last)}` : '';
}
