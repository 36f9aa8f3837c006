import { ExternalStoreError } from '@podmesh/core';
import { expect, it } from 'vitest';
import { retried } from './retried.ts';
import { WRITE_TRIES_MAX } from './store-limits.ts';

const { signal } = new AbortController();
const busy = new ExternalStoreError('failed', 's3://b/k answered 503', { retryable: true });

function failing(times: number, error: Error) {
  const now = { tries: 0 };
  const request = async () => {
    now.tries += 1;
    if (now.tries <= times) throw error;
    return now.tries;
  };
  return { now, request };
}

it('repeats what may go better, and no more often than that', async () => {
  const twice = failing(2, busy);
  expect(await retried(twice.request, { signal, retryMs: 0 })).toBe(3);
  const always = failing(99, busy);
  const given = await retried(always.request, { signal, retryMs: 0 }).catch((error) => error);
  expect(given).toMatchObject({
    kind: 'failed',
    retryable: false,
    message: `s3://b/k answered 503 (tried ${WRITE_TRIES_MAX} times)`,
  });
  expect(always.now.tries).toBe(WRITE_TRIES_MAX);
  // Somebody around it does not begin anew.
  const around = failing(99, given);
  await expect(retried(around.request, { signal, retryMs: 0 })).rejects.toBe(given);
  expect(around.now.tries).toBe(1);
});

it('repeats nothing that was refused, or that nobody waits for', async () => {
  const refusal = new ExternalStoreError('refused', 'no', { retryable: false });
  const refused = failing(99, refusal);
  await expect(retried(refused.request, { signal, retryMs: 0 })).rejects.toBe(refusal);
  const stop = new AbortController();
  const left = failing(99, busy);
  const waiting = retried(
    async () => {
      // While it rests before the second try.
      setImmediate(() => stop.abort(new Error('left')));
      return await left.request();
    },
    { signal: stop.signal, retryMs: 1e6 },
  );
  await expect(waiting).rejects.toThrow('left');
  expect([refused.now.tries, left.now.tries]).toEqual([1, 1]);
});
