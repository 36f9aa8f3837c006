import { monotonicMs } from './mesh-connection.ts';
import { isAborted, pause } from './pause.ts';

export interface TokenBucketOptions {
  readonly perSecond: number;
  /** As many can be taken at once after a rest. */
  readonly burst: number;
  readonly nowMs?: () => number;
}

/** So many per second, and a few more at once after a rest. */
export class TokenBucket {
  readonly #perMs: number;
  readonly #burst: number;
  readonly #nowMs: () => number;
  #tokens: number;
  #filledAt: number;

  constructor({ perSecond, burst, nowMs = monotonicMs }: TokenBucketOptions) {
    this.#perMs = perSecond / 1_000;
    this.#burst = burst;
    this.#nowMs = nowMs;
    this.#tokens = burst;
    this.#filledAt = nowMs();
  }

  /** 0: they are taken. Else nothing is, and it may succeed after so many milliseconds. More than a burst counts as one. */
  take(count: number): number {
    const now = this.#nowMs();
    this.#tokens = Math.min(
      this.#burst,
      this.#tokens + Math.max(0, now - this.#filledAt) * this.#perMs,
    );
    this.#filledAt = now;
    const missing = Math.min(count, this.#burst) - this.#tokens;
    if (missing > 0) return Math.ceil(missing / this.#perMs);
    this.#tokens -= Math.min(count, this.#burst);
    return 0;
  }

  /** Resolves when they are taken, or when the signal aborts. */
  async wait(count: number, signal?: AbortSignal): Promise<void> {
    for (let ms = this.take(count); ms > 0 && !isAborted(signal); ms = this.take(count))
      await pause(ms, signal);
  }
}
