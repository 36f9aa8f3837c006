import { systemClock } from '@podmesh/daemon';

const LOOK_MS = 10;

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

/** Looks again and again until it is so, in the limits of `within`. */
export async function untilSeen(
  limitMs: number,
  what: () => string,
  isSo: () => boolean | Promise<boolean>,
): Promise<void> {
  let given = false;
  const look = async (): Promise<void> => {
    while (!given && !(await isSo())) await systemClock.sleep(LOOK_MS);
  };
  await within(limitMs, what, look()).finally(() => {
    given = true;
  });
}
