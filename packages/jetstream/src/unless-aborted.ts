import { onAbort } from './on-abort.ts';

/** What the promise gives, but rejects with the signal's reason as soon as that aborts. */
export function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const ignoreAbort = onAbort(signal, () => reject(signal.reason));
    promise.then(resolve, reject).finally(ignoreAbort);
  });
}
