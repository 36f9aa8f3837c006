import type { Clock } from '@podmesh/core';

const LOOK_MS = 1_000;

export interface IdleWait {
  readonly isIdle: () => Promise<boolean>;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** Resolves when each look for so long found nothing to do, or with the signal. */
export async function idleFor(ms: number, { isIdle, clock, signal }: IdleWait): Promise<void> {
  let sinceMs = clock.nowMs();
  while (!signal.aborted) {
    if (!(await isIdle())) sinceMs = clock.nowMs();
    if (clock.nowMs() - sinceMs >= ms) return;
    await clock.sleep(Math.min(LOOK_MS, Math.max(1, ms)), signal);
  }
}
