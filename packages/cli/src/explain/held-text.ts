import { type AttemptRecord, FAILURE_POLICIES, type RunId, type TaskId } from '@podmesh/core';

const LOSSES_NAMED_MAX = 5;

/** Which peers a held task took down, and when: `oak at … (attempt 1), fir at … (attempt 2)`. */
export function lossesText(attempts: readonly AttemptRecord[]): string {
  const losses = attempts.filter(isLoss);
  const named = losses
    .slice(-LOSSES_NAMED_MAX)
    .map(({ attempt, peer, endedAt }) => `${peer} at ${endedAt ?? '?'} (attempt ${attempt})`);
  const earlier = losses.length - named.length;
  return `${named.join(', ')}${earlier > 0 ? ` and ${earlier} before` : ''}`;
}

function isLoss({ outcome }: AttemptRecord): boolean {
  return outcome !== 'running' && outcome !== 'succeeded' && FAILURE_POLICIES[outcome].holds;
}

/** What a person can do about a held task. */
export function heldAdvice(run: RunId, task: TaskId): readonly string[] {
  return [
    `What it wrote: podmesh logs ${run}/${task}`,
    `If it is harmless, let it be tried again: podmesh release ${run} ${task}`,
    `If it is not, end the run: podmesh cancel ${run}`,
  ];
}
