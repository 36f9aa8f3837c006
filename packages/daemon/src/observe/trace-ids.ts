import { createHash } from 'node:crypto';
import type { ClaimId, RunId, TaskId } from '@podmesh/core';

const TRACE_HEX = 32;
const SPAN_HEX = 16;

/**
 * Ids of spans that several peers speak of. They follow from the run, so that nothing has to be carried from who
 * publishes to who runs, and what a replaced driver tells belongs to the same trace. Hex, as W3C Trace Context has them;
 * none can be all zeros but by a collision of SHA-256.
 */
export const traceId = (run: RunId): string => hex(TRACE_HEX, 'trace', run);

export const runSpanId = (run: RunId): string => hex(SPAN_HEX, 'run', run);

export const offerSpanId = (run: RunId, task: TaskId, attempt: number): string =>
  hex(SPAN_HEX, 'offer', run, task, String(attempt));

export const attemptSpanId = (run: RunId, claim: ClaimId): string =>
  hex(SPAN_HEX, 'attempt', run, claim);

function hex(length: number, ...words: readonly string[]): string {
  const text = ['podmesh', ...words].join('\n');
  return createHash('sha256').update(text).digest('hex').slice(0, length);
}
