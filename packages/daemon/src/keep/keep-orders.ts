import {
  type Clock,
  KEEPS_AT_WORK_MAX,
  KEEPS_PER_PEER_MAX,
  type KeepAnswer,
  type KeepingPeer,
  type KeepOrder,
  type KeepRelease,
} from '@podmesh/core';
import type { Logger } from 'pino';
import type { CopyBringer } from '../store/copy-bringer.ts';

/** Nobody has asked for so long: the driver died, or chose others. */
const LEFT_ALONE_MS = 60_000;

export interface KeepOrdersParts {
  readonly copies: Pick<CopyBringer, 'has' | 'bring'>;
  readonly release: (release: KeepRelease) => Promise<void>;
  readonly clock: Clock;
  readonly logger: Logger;
}

interface Work {
  readonly stop: AbortController;
  readonly done: Promise<void>;
  askedAtMs: number;
  /** Why it failed; told once to whoever asks, and then it may be tried again. */
  refusal?: string;
}

/** What others ask this peer to keep. Drivers repeat themselves until it is done, so nothing here is remembered for long. */
export class KeepOrders implements KeepingPeer {
  readonly #parts: KeepOrdersParts;
  readonly #works = new Map<string, Work>();
  readonly #waiting: (() => void)[] = [];
  #atWork = 0;
  #isStopped = false;

  constructor(parts: KeepOrdersParts) {
    this.#parts = parts;
  }

  keep(order: KeepOrder): Exclude<KeepAnswer, { readonly kind: 'silent' }> {
    const key = keyOf(order);
    const known = this.#works.get(key);
    if (known !== undefined) known.askedAtMs = this.#parts.clock.nowMs();
    if (known?.refusal !== undefined) {
      this.#works.delete(key);
      return { kind: 'refused', message: known.refusal };
    }
    if (known !== undefined) return { kind: 'working' };
    if (this.#parts.copies.has(order)) return { kind: 'kept' };
    if (this.#isStopped) return { kind: 'refused', message: 'this peer stops' };
    if (this.#works.size >= KEEPS_PER_PEER_MAX)
      return { kind: 'refused', message: 'too much else to keep; later' };
    this.#begin(key, order);
    return { kind: 'working' };
  }

  release(release: KeepRelease): void {
    this.#parts.release(release).catch((error: unknown) => {
      this.#parts.logger.warn({ err: error, run: release.run }, 'could not let outputs go');
    });
  }

  /** Ends what nobody asks for any more. */
  endLeftAlone(): void {
    const nowMs = this.#parts.clock.nowMs();
    for (const [key, work] of this.#works) {
      if (nowMs - work.askedAtMs < LEFT_ALONE_MS) continue;
      work.stop.abort(new Error('nobody asks for it any more'));
      if (work.refusal !== undefined) this.#works.delete(key);
    }
  }

  /** Harmless twice. What came until then stays. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    const works = [...this.#works.values()];
    for (const { stop } of works) stop.abort(new Error('this peer stops'));
    await Promise.all(works.map(({ done }) => done));
  }

  #begin(key: string, order: KeepOrder): void {
    const stop = new AbortController();
    const askedAtMs = this.#parts.clock.nowMs();
    const done = this.#inTurn(() => this.#parts.copies.bring(order, stop.signal), stop.signal).then(
      () => void this.#works.delete(key),
      (error: unknown) => {
        work.refusal = error instanceof Error ? error.message : String(error);
        const { run, task } = order;
        this.#parts.logger.info({ run, task, err: error }, 'cannot keep outputs for others');
      },
    );
    const work: Work = { stop, done, askedAtMs };
    this.#works.set(key, work);
  }

  async #inTurn(work: () => Promise<void>, signal: AbortSignal): Promise<void> {
    if (this.#atWork >= KEEPS_AT_WORK_MAX) await new Promise<void>((go) => this.#waiting.push(go));
    else this.#atWork += 1;
    try {
      signal.throwIfAborted();
      await work();
    } finally {
      // Whoever is next takes this place over.
      const next = this.#waiting.shift();
      if (next === undefined) this.#atWork -= 1;
      else next();
    }
  }
}

/** Another attempt of a task may leave other bytes. */
const keyOf = ({ run, task, apart, outputs }: KeepOrder): string =>
  [run, task, apart === true, ...outputs.map(({ digest }) => digest)].join(' ');
