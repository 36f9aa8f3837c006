import type { Cancel } from '../time/scheduler.ts';

/**
 * The promise behind `Clock.sleep`: resolves when `schedule` fires, or at once when the signal aborts;
 * never rejects, and leaves no listener behind.
 */
export function sleepUntil(
  schedule: (wake: () => void) => Cancel,
  signal: AbortSignal | undefined,
): Promise<void> {
  if (signal?.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const finish = () => {
      cancel();
      signal?.removeEventListener('abort', finish);
      resolve();
    };
    const cancel = schedule(finish);
    signal?.addEventListener('abort', finish, { once: true });
  });
}

/** `promise`, or `undefined` as soon as the signal aborts. */
export function orAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T | undefined> {
  if (signal.aborted) {
    promise.catch(() => undefined);
    return Promise.resolve(undefined);
  }
  return new Promise((resolve, reject) => {
    const abort = () => resolve(undefined);
    signal.addEventListener('abort', abort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}
