import { type Clock, type Offer, othersFor, type PeerDirectory, type PeerId } from '@podmesh/core';

/** A peer on which an earlier attempt failed looks again after this long. */
const LOOK_AGAIN_MS = 2_000;
/** Others that have no room are waited for so long: then an attempt here is better than none. */
const PATIENCE_MS = 60_000;
/** Remembered; forgetting one costs some patience. */
const WAITING_MAX = 10_000;

export interface OthersFirstParts {
  readonly peer: PeerId;
  readonly peers: Pick<PeerDirectory, 'list'>;
  readonly clock: Clock;
}

/** A peer on which a task failed lets others go first, but not for ever. */
export class OthersFirst {
  readonly #parts: OthersFirstParts;
  /** By `<run>/<task>/<attempt>`: since when it is left to others. */
  readonly #sinceMs = new Map<string, number>();

  constructor(parts: OthersFirstParts) {
    this.#parts = parts;
  }

  /** How long to leave the offer to others; 0: take it. */
  async restMs(offer: Offer): Promise<number> {
    const { peer, peers, clock } = this.#parts;
    if (!offer.avoid.includes(peer)) return 0;
    // Not known: then nobody else is either.
    const others = othersFor(offer, peer, await peers.list().catch(() => []));
    const key = `${offer.run}/${offer.task}/${offer.attempt}`;
    if (this.#sinceMs.size >= WAITING_MAX) this.#sinceMs.clear();
    const sinceMs = this.#sinceMs.get(key) ?? clock.nowMs();
    const isPatient = others === 'free' || clock.nowMs() - sinceMs < PATIENCE_MS;
    if (others !== 'none' && isPatient) {
      this.#sinceMs.set(key, sinceMs);
      return LOOK_AGAIN_MS;
    }
    this.#sinceMs.delete(key);
    return 0;
  }
}
