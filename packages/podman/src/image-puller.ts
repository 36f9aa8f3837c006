import type { Readable } from 'node:stream';
import { PortError, type PullProgress } from '@podmesh/core';
import { PodmanAbortedError, PodmanRefusedError, PodmanUnreachableError } from './podman-errors.ts';
import * as limits from './podman-limits.ts';
import { PullReport } from './pull-report.ts';

/** The registry went silent in the middle, or was too slow altogether. */
export class PullStalledError extends PortError {
  constructor(message: string) {
    super(message, { retryable: true });
  }
}

export interface PullLimits {
  /** Silence while bytes are expected, and while Podman may be at work without a word. */
  readonly idleMs: number;
  readonly silentMs: number;
  readonly totalMs: number;
  readonly sayEveryMs: number;
}

const LIMITS: PullLimits = {
  idleMs: limits.PULL_IDLE_MS_MAX,
  silentMs: limits.PULL_SILENT_MS_MAX,
  totalMs: limits.IMAGE_TRANSFER_MS_MAX,
  sayEveryMs: limits.PULL_SAY_MS,
};

/** Where pulls are ordered. Closing the stream of the answer ends the pull. */
export interface PullSource {
  readonly socketPath: string;
  openPull(reference: string, signal: AbortSignal): Promise<Readable>;
}

interface Waiter {
  readonly progress: PullProgress;
}

/**
 * One pull per reference at a time, however many want it. It goes on while at least one of them waits,
 * and is given up when all have gone.
 */
export class ImagePuller {
  readonly #source: PullSource;
  readonly #limits: PullLimits;
  readonly #pulls = new Map<string, SharedPull>();

  constructor(source: PullSource, changes: Partial<PullLimits> = {}) {
    this.#source = source;
    this.#limits = { ...LIMITS, ...changes };
  }

  /** Resolves when pulled. Throws `PodmanRefusedError` with the registry's words, or `PullStalledError`. */
  async pull(reference: string, progress: PullProgress, signal: AbortSignal): Promise<void> {
    const going = this.#pulls.get(reference);
    const pull = going === undefined || going.isGivenUp ? this.#begin(reference) : going;
    if (await pull.wait({ progress }, signal)) return;
    throw new PodmanAbortedError(`pull ${reference}`, signal.reason);
  }

  #begin(reference: string): SharedPull {
    const pull = new SharedPull(reference, this.#source, this.#limits);
    this.#pulls.set(reference, pull);
    const forget = (): void => {
      if (this.#pulls.get(reference) === pull) this.#pulls.delete(reference);
    };
    pull.done.then(forget, forget);
    return pull;
  }
}

class SharedPull {
  readonly done: Promise<void>;
  readonly #reference: string;
  readonly #limits: PullLimits;
  readonly #abort = new AbortController();
  readonly #waiters = new Set<Waiter>();
  readonly #report = new PullReport();
  #said: string;
  #saidMs = performance.now();

  constructor(reference: string, source: PullSource, pullLimits: PullLimits) {
    this.#reference = reference;
    this.#limits = pullLimits;
    this.#said = `pulling ${reference}`;
    this.done = this.#pull(source);
  }

  get isGivenUp(): boolean {
    return this.#abort.signal.aborted;
  }

  /** True when it is done; false when the signal aborted before. */
  async wait(waiter: Waiter, signal: AbortSignal): Promise<boolean> {
    this.#waiters.add(waiter);
    waiter.progress(this.#said);
    const gone = new AbortController();
    try {
      const finished = this.done.then(() => true);
      return await Promise.race([finished, aborted(signal, gone.signal).then(() => false)]);
    } finally {
      gone.abort();
      this.#waiters.delete(waiter);
      if (this.#waiters.size === 0) this.#abort.abort();
    }
  }

  async #pull(source: PullSource): Promise<void> {
    const stream = await source.openPull(this.#reference, this.#abort.signal);
    try {
      await this.#follow(stream);
    } catch (error) {
      if (error instanceof PortError) throw error;
      throw new PodmanUnreachableError(source.socketPath, error);
    }
    const { problem } = this.#report;
    // The status was sent before the pull began, so a failure comes as a line of the answer.
    if (problem !== undefined) throw new PodmanRefusedError(this.#what, 404, problem);
  }

  async #follow(stream: Readable): Promise<void> {
    const { totalMs } = this.#limits;
    const deadline = setTimeout(() => {
      stream.destroy(this.#stalled(`did not end within ${seconds(totalMs)}`));
    }, totalMs);
    const give = (): void => void stream.destroy(new PodmanAbortedError(this.#what));
    this.#abort.signal.addEventListener('abort', give, { once: true });
    let watchdog = this.#watch(stream);
    let rest = '';
    try {
      if (this.isGivenUp) give();
      for await (const piece of stream.setEncoding('utf8')) {
        clearTimeout(watchdog);
        const lines = `${rest}${piece}`.split('\n');
        rest = lines.pop() ?? '';
        for (const line of lines) this.#hear(line);
        watchdog = this.#watch(stream);
      }
      this.#hear(rest);
    } finally {
      clearTimeout(deadline);
      clearTimeout(watchdog);
      this.#abort.signal.removeEventListener('abort', give);
    }
  }

  #watch(stream: Readable): NodeJS.Timeout {
    const { idleMs, silentMs } = this.#limits;
    const patienceMs = this.#report.mayBeSilent ? silentMs : idleMs;
    return setTimeout(() => {
      stream.destroy(this.#stalled(`made no progress for ${seconds(patienceMs)}`));
    }, patienceMs);
  }

  #hear(line: string): void {
    this.#report.hear(line);
    const { amount } = this.#report;
    const nowMs = performance.now();
    if (amount === '' || nowMs - this.#saidMs < this.#limits.sayEveryMs) return;
    const text = `pulling ${this.#reference}: ${amount}`;
    if (text === this.#said) return;
    this.#said = text;
    this.#saidMs = nowMs;
    for (const { progress } of this.#waiters) progress(text);
  }

  #stalled(what: string): PullStalledError {
    const { amount } = this.#report;
    const had = amount === '' ? '' : ` after ${amount}`;
    return new PullStalledError(`it ${what}${had} and was given up`);
  }

  get #what(): string {
    return `pull ${this.#reference}`;
  }
}

/** Resolves when the signal aborts; forgotten when `gone` does. */
function aborted(signal: AbortSignal, gone: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    signal.addEventListener('abort', () => resolve(), { once: true, signal: gone });
  });
}

const seconds = (ms: number): string => `${ms / 1_000} s`;
