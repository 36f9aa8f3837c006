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
  #isHushed = false;
  /** One after the other: what is withdrawn must not be announced by what was sent before. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Makes one, unless this peer is hushed; throws what it throws. */
  make(announce: () => Promise<void>): Promise<void> {
    return this.#inTurn(async () => {
      if (!this.#isHushed) await this.#make(announce);
    });
  }

  /** Nothing is announced from now on; withdraws what was, unless it may speak again by then. Throws what that throws. */
  hush(withdraw: () => Promise<void>): Promise<void> {
    this.#isHushed = true;
    return this.#inTurn(async () => {
      if (this.#isHushed) await withdraw();
    });
  }

  /** Harmless when it was not hushed. */
  speak(): void {
    this.#isHushed = false;
  }

  #inTurn(act: () => Promise<void>): Promise<void> {
    const turn = this.#turn.then(act);
    this.#turn = turn.catch(() => undefined);
    return turn;
  }

  async #make(announce: () => Promise<void>): Promise<void> {
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
