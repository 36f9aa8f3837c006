import { type Clock, HEARTBEAT_MS, PEER_TTL_MS } from '@podmesh/core';

/** An announcement that took this long went through an absence of the mesh. */
const PROMPT_MS_MAX = HEARTBEAT_MS;

/**
 * Keeps an eye on this peer's own announcements: when they did not get through for a while, the others'
 * did not either, and the directory is not to be believed before all had time to come back to it.
 */
export class Announcements {
  readonly #clock: Clock;
  #brokeAtMs = Number.NEGATIVE_INFINITY;
  #wasHeard = true;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Makes one; throws what it throws. */
  async make(announce: () => Promise<void>): Promise<void> {
    const fromMs = this.#clock.nowMs();
    try {
      await announce();
    } catch (error) {
      this.#brokeAtMs = this.#clock.nowMs();
      this.#wasHeard = false;
      throw error;
    }
    this.#wasHeard = true;
    const nowMs = this.#clock.nowMs();
    if (nowMs - fromMs > PROMPT_MS_MAX) this.#brokeAtMs = nowMs;
  }

  /** Whether the last one got through. */
  get wasHeard(): boolean {
    return this.#wasHeard;
  }

  /** Whether a peer that is not in the directory is gone. */
  isSteady(): boolean {
    return this.#clock.nowMs() - this.#brokeAtMs >= PEER_TTL_MS;
  }
}
