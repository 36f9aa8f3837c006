import { TokenBucket } from './token-bucket.ts';

/** Questions of one asker that are answered per second… */
const PER_ASKER_PER_S = 50;
/** …and of all of them: an asker can take another name. */
const IN_ALL_PER_S = 1_000;
/** Askers that are remembered; the one that was silent longest makes room. */
const ASKERS_MAX = 1_024;

/** How often anybody is answered, so that no asker can keep this peer busy. */
export class AskerRates {
  readonly #nowMs: () => number;
  readonly #inAll: TokenBucket;
  readonly #askers = new Map<string, TokenBucket>();

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
    this.#inAll = this.#bucket(IN_ALL_PER_S);
  }

  /** Whether this question may be answered; then it counts. */
  allows(asker: string): boolean {
    const bucket = this.#askers.get(asker) ?? this.#bucket(PER_ASKER_PER_S);
    // Put in again: a Map is ordered by insertion, so the first one is always the oldest.
    this.#askers.delete(asker);
    this.#askers.set(asker, bucket);
    const [oldest] = this.#askers.keys();
    if (this.#askers.size > ASKERS_MAX && oldest !== undefined) this.#askers.delete(oldest);
    return bucket.take(1) === 0 && this.#inAll.take(1) === 0;
  }

  #bucket(perSecond: number): TokenBucket {
    return new TokenBucket({ perSecond, burst: perSecond, nowMs: this.#nowMs });
  }
}
