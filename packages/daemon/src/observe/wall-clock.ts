import { performance } from 'node:perf_hooks';

/** So far the two clocks may drift apart before the machine's was set, or it slept. */
const DRIFT_MS_MAX = 100;

/** The time of day with the resolution of the monotonic clock: for people and their charts, nothing is decided by it. */
export class WallClock {
  readonly #wallMs: () => number;
  readonly #monotonicMs: () => number;
  #offsetMs: number;

  constructor(wallMs = Date.now, monotonicMs = () => performance.now()) {
    this.#wallMs = wallMs;
    this.#monotonicMs = monotonicMs;
    this.#offsetMs = wallMs() - monotonicMs();
  }

  /** Milliseconds since 1970. Goes back only when somebody set the machine's clock back. */
  nowMs(): number {
    const offsetMs = this.#wallMs() - this.#monotonicMs();
    if (Math.abs(offsetMs - this.#offsetMs) > DRIFT_MS_MAX) this.#offsetMs = offsetMs;
    return this.#offsetMs + this.#monotonicMs();
  }
}
