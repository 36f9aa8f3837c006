import { createHash, type Hash } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { ARTIFACT_BYTES_MAX, ExternalStoreError } from '@podmesh/core';
import { StallWatch } from './stall-watch.ts';
import { changedMeanwhile, failureOfConnection } from './store-failure.ts';
import { FRUITLESS_TRIES_MAX, RETRY_MS, STALL_BYTES_MIN, STALL_MS } from './store-limits.ts';

/** An answer of a store: bytes of one version of the object. */
export interface Opened {
  /** Where they begin: what was asked for, or 0 of a store that knows no ranges. */
  readonly start: number;
  /** Of the whole object; absent when the store does not tell. */
  readonly bytes?: number;
  /** Strong: equal text means equal bytes. */
  readonly etag?: string;
  readonly body: AsyncIterable<Uint8Array>;
}

/** Asks for the object from `start` on, of the version `etag` where that is known. */
export type Open = (
  start: number,
  etag: string | undefined,
  signal: AbortSignal,
) => Promise<Opened>;

export interface ReadTimes {
  readonly stallMs?: number;
  readonly retryMs?: number;
}

/** What is known of the object so far. */
interface Progress {
  readonly hash: Hash;
  read: number;
  etag: string | undefined;
  bytes: number | undefined;
}

/**
 * Reads one version of an object to its end. A connection that breaks, ends too early or stands still is made
 * again from the byte where it was; a store without ranges sends the beginning again, which has to be the same.
 */
export async function* resumingRead(
  where: string,
  open: Open,
  outer: AbortSignal,
  times: ReadTimes = {},
): AsyncGenerator<Uint8Array, void, undefined> {
  const progress: Progress = {
    hash: createHash('sha256'),
    read: 0,
    etag: undefined,
    bytes: undefined,
  };
  for (let fruitless = 0; ; ) {
    const before = progress.read;
    try {
      yield* readOnce(where, open, progress, { outer, stallMs: times.stallMs ?? STALL_MS });
      return;
    } catch (error) {
      outer.throwIfAborted();
      const failure =
        error instanceof ExternalStoreError ? error : failureOfConnection(where, error);
      fruitless = progress.read - before >= STALL_BYTES_MIN ? 1 : fruitless + 1;
      if (!failure.retryable || fruitless >= FRUITLESS_TRIES_MAX) throw failure;
      const restMs = (times.retryMs ?? RETRY_MS) * 2 ** (fruitless - 1);
      await pause(restMs, undefined, { signal: outer }).catch(() => undefined);
      outer.throwIfAborted();
    }
  }
}

async function* readOnce(
  where: string,
  open: Open,
  progress: Progress,
  { outer, stallMs }: { readonly outer: AbortSignal; readonly stallMs: number },
): AsyncGenerator<Uint8Array, void, undefined> {
  const watch = new StallWatch(stallMs, STALL_BYTES_MIN);
  const signal = AbortSignal.any([outer, watch.signal]);
  try {
    const opened = await open(progress.read, progress.etag, signal);
    checkVersion(where, progress, opened);
    const again = new Beginning(where, progress, opened.start);
    for await (const piece of opened.body) {
      watch.note(piece.length);
      const fresh = again.skip(piece);
      if (fresh.length === 0) continue;
      progress.read += fresh.length;
      progress.hash.update(fresh);
      if (progress.read > ARTIFACT_BYTES_MAX) throw tooLarge(where);
      // The reader takes its time, which is not the store's.
      watch.pause();
      yield fresh;
      watch.resume();
    }
    again.end();
  } finally {
    watch.end();
  }
  if (progress.bytes === undefined || progress.read === progress.bytes) return;
  const message = `${where} ended after ${progress.read} of ${progress.bytes} bytes`;
  throw new ExternalStoreError('failed', message, { retryable: true });
}

function checkVersion(where: string, progress: Progress, { etag, bytes }: Opened): void {
  if (progress.read === 0) {
    progress.etag = etag;
    progress.bytes = bytes;
  }
  if (bytes !== undefined && bytes > ARTIFACT_BYTES_MAX) throw tooLarge(where);
  const isOther =
    (etag !== undefined && progress.etag !== undefined && etag !== progress.etag) ||
    (bytes !== undefined && progress.bytes !== undefined && bytes !== progress.bytes);
  if (isOther) throw changedMeanwhile(where);
}

function tooLarge(where: string): ExternalStoreError {
  const message = `${where} has more than ${ARTIFACT_BYTES_MAX} bytes, which is the most for one artifact`;
  return new ExternalStoreError('failed', message, { retryable: false });
}

/** The bytes that were read before and come once more: they are left out, and have to be the same. */
class Beginning {
  readonly #where: string;
  readonly #known: Progress;
  readonly #hash = createHash('sha256');
  #left: number;

  constructor(where: string, known: Progress, start: number) {
    this.#where = where;
    this.#known = known;
    this.#left = known.read - start;
    if (this.#left < 0) throw changedMeanwhile(where);
  }

  skip(piece: Uint8Array): Uint8Array {
    if (this.#left === 0) return piece;
    const repeated = piece.subarray(0, this.#left);
    this.#left -= repeated.length;
    this.#hash.update(repeated);
    if (this.#left === 0) this.#compare();
    return piece.subarray(repeated.length);
  }

  end(): void {
    // It ended before the place where it was the last time; the next try may come further.
    if (this.#left > 0) throw new Error('ended early');
  }

  #compare(): void {
    const before = this.#known.hash.copy().digest('hex');
    if (this.#hash.digest('hex') !== before) throw changedMeanwhile(this.#where);
  }
}
