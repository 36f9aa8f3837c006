import type { OutputRef } from '../graph/graph.ts';
import { FAILURE_POLICIES, type FailureKind } from './failure-kind.ts';
import type { Offer } from './offer.ts';

/**
 * Of an attempt that failed: the outputs that are stored all the same, if they are there. None where
 * the task is not to blame: then the machine is in trouble, or the claim already somebody else's.
 */
export function keptOutputs(
  { outputs }: Pick<Offer, 'outputs'>,
  failed: FailureKind,
): readonly (readonly [name: string, output: OutputRef])[] {
  if (FAILURE_POLICIES[failed].charges !== 'task') return [];
  return Object.entries(outputs).filter(([, ref]) => ref.kind === 'file' && ref.onFailure === true);
}
