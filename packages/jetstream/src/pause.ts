import { onAbort } from './on-abort.ts';

/** Resolves after `ms`, or at once when the signal aborts; never rejects. */
export function pause(ms: number, signal?: AbortSignal): Promise<void> {
  if (isAborted(signal)) return Promise.resolve();
  return new Promise((resolve) => {
    const end = (): void => {
      clearTimeout(timer);
      ignoreAbort();
      resolve();
    };
    const timer = setTimeout(end, Math.max(0, ms));
    const ignoreAbort = onAbort(signal, end);
  });
}

/** `ms` and up to half as much again at random, so that peers do not come back in step. */
export const jittered = (ms: number): number => ms * (1 + Math.random() / 2);

/** As a function, because the compiler takes a property that was read for one that stays. */
export const isAborted = (signal: AbortSignal | undefined): boolean => signal?.aborted === true;
