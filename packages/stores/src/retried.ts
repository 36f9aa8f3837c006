import { setTimeout as pause } from 'node:timers/promises';
import { ExternalStoreError } from '@podmesh/core';
import { RETRY_MS, WRITE_TRIES_MAX } from './store-limits.ts';

export interface Retrying {
  readonly signal: AbortSignal;
  /** Before the second try; twice as long each time. Tests shorten it. */
  readonly retryMs?: number | undefined;
}

/**
 * One request that writes, and again while the store says that it may go better, so many times in all. It is the only
 * place that repeats one: clients try once, and who is told of a failure from here is told that it is over.
 */
export async function retried<Value>(
  request: () => Promise<Value>,
  { signal, retryMs = RETRY_MS }: Retrying,
): Promise<Value> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await request();
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof ExternalStoreError) || !error.retryable) throw error;
      if (tries >= WRITE_TRIES_MAX) throw givenUp(error, tries);
      await pause(retryMs * 2 ** (tries - 1), undefined, { signal }).catch(() => undefined);
      signal.throwIfAborted();
    }
  }
}

function givenUp(error: ExternalStoreError, tries: number): ExternalStoreError {
  const message = `${error.message} (tried ${tries} times)`;
  return new ExternalStoreError(error.kind, message, { retryable: false, cause: error });
}
