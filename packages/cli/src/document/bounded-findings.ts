import type { Finding } from '@podmesh/core';

/** Of one path; the same mistake is made a thousand times more often than a thousand mistakes. */
const FINDINGS_PER_PATH_MAX = 10;

/** The first findings of one path, and then one that counts the rest. */
export function boundedFindings(found: readonly Finding[], path: string): readonly Finding[] {
  if (found.length <= FINDINGS_PER_PATH_MAX) return found;
  const more = (found.length - FINDINGS_PER_PATH_MAX).toLocaleString('en');
  const rest: Finding = {
    problem: `${more} more like these in ${path}`,
    advice: 'Repair those above first and try again.',
  };
  return [...found.slice(0, FINDINGS_PER_PATH_MAX), rest];
}
