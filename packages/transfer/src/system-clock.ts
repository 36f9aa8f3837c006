import { performance } from 'node:perf_hooks';
import type { Clock } from '@podmesh/core';

/** Timers of Node take at most this; a longer sleep is several. */
const TIMER_MS_MAX = 2 ** 31 - 1;

/** The machine's monotonic clock. */
export const systemClock: Clock = {
  nowMs: () => performance.now(),
  sleep: async (ms, signal) => {
    let left = ms;
    while (left > 0 && signal?.aborted !== true) {
      await sleepOnce(Math.min(left, TIMER_MS_MAX), signal);
      left -= TIMER_MS_MAX;
    }
  },
};

function sleepOnce(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    const end = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal?.addEventListener('abort', end, { once: true });
  });
}
