import type { ArtifactId, Holders, Holding, PeerId } from '@podmesh/core';
import type { WhoHasAnswer } from './who-has-message.ts';

/** As many peers as the directory lists at most; a crowd that makes names up fills no memory. */
const ANSWERING_PEERS_MAX = 1_024;

/** What was answered to one question so far. */
export class WhoHasSheet {
  /** Undefined: the first holders are enough. */
  readonly #listed: readonly PeerId[] | undefined;
  readonly #everybody: boolean;
  readonly #answers = new Map<PeerId, readonly Holding[]>();
  readonly #missing: Set<ArtifactId>;

  /** `everybody`: one holder of each is not enough. */
  constructor(
    asked: readonly ArtifactId[],
    listed: readonly PeerId[] | undefined,
    everybody = false,
  ) {
    this.#everybody = everybody;
    this.#listed = listed;
    this.#missing = new Set(asked);
  }

  /** A later answer of a peer replaces its earlier one: it was asked again. */
  note({ peer, holdings }: WhoHasAnswer): void {
    if (!this.#answers.has(peer) && this.#answers.size >= ANSWERING_PEERS_MAX) return;
    this.#answers.set(peer, holdings);
    for (const { artifact, whole } of holdings) if (whole) this.#missing.delete(artifact);
  }

  /** Whether nothing that is still to come could matter. An empty directory proves nothing, so then it is waited. */
  get isComplete(): boolean {
    if (this.#listed === undefined) return !this.#everybody && this.#missing.size === 0;
    return this.#listed.length > 0 && this.#silent().length === 0;
  }

  holders(): Holders {
    const found = new Map<ArtifactId, Holding[]>();
    for (const holdings of this.#answers.values()) {
      // By artifact, for a peer that names one twice.
      const each = new Map(holdings.map((holding) => [holding.artifact, holding]));
      for (const [artifact, holding] of each)
        found.set(artifact, [...(found.get(artifact) ?? []), holding]);
    }
    return { found, silent: this.#silent() };
  }

  #silent(): readonly PeerId[] {
    return (this.#listed ?? []).filter((peer) => !this.#answers.has(peer));
  }
}
