import { PortError } from '@podmesh/core';
import { systemClock } from '@podmesh/daemon';

const LOOK_MS = 10;
const AGAIN_MS = 500;

/**
 * The promise's own end, or an error after `limitMs` that says what was waited for. No test should
 * ever need the limit: it is there so that a fact that never comes is named.
 */
export async function within<T>(
  limitMs: number,
  what: () => string,
  promise: Promise<T>,
): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new Error(`after ${limitMs / 1000} s still waiting for ${what()}`));
    }, limitMs);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Looks again and again until it is so, in the limits of `within`; `restMs` between looks that are costly themselves.
 * While the mesh does not answer, as in an election, nothing is seen: that is no failure yet.
 */
export async function untilSeen(
  limitMs: number,
  what: () => string,
  isSo: () => boolean | Promise<boolean>,
  restMs = LOOK_MS,
): Promise<void> {
  let given = false;
  let silence = '';
  const sees = async (): Promise<boolean> => {
    try {
      const seen = await isSo();
      silence = '';
      return seen;
    } catch (error) {
      if (!(error instanceof PortError) || !error.retryable) throw error;
      silence = `; the mesh does not answer: ${error.message}`;
      return false;
    }
  };
  const look = async (): Promise<void> => {
    while (!given && !(await sees())) await systemClock.sleep(restMs);
  };
  await within(limitMs, () => `${what()}${silence}`, look()).finally(() => {
    given = true;
  });
}

/** What it gives once it gives anything, tried again after each failure, in the limits of `within`: leaders may just be elected. */
export async function untilDone<T>(
  limitMs: number,
  what: () => string,
  act: () => Promise<T>,
  restMs = AGAIN_MS,
): Promise<T> {
  let done: { readonly value: T } | undefined;
  let failure: unknown;
  const isDone = async (): Promise<boolean> => {
    try {
      done = { value: await act() };
    } catch (error) {
      failure = error;
    }
    return done !== undefined;
  };
  await untilSeen(limitMs, () => `${what()}; the last try: ${failure}`, isDone, restMs);
  if (done === undefined) throw new Error(what());
  return done.value;
}
