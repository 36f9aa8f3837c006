import type { Clock } from '@podmesh/core';

/** Who stops waits so long for a mesh that is away: by then its claims are given up. */
export const AWAY_MS_MAX = 15_000;
const LOOK_MS = 1_000;

/** Resolves when the mesh has been away all that time, or the signal aborts. */
export async function untilAway(
  isAway: () => boolean,
  clock: Clock,
  signal: AbortSignal,
): Promise<void> {
  for (let awayMs = 0; awayMs < AWAY_MS_MAX && !signal.aborted; ) {
    await clock.sleep(LOOK_MS, signal);
    awayMs = isAway() ? awayMs + LOOK_MS : 0;
  }
}
