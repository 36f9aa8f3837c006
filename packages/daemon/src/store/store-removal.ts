import { rm } from 'node:fs/promises';
import type { ArtifactId } from '@podmesh/core';
import { unlinkIfThere } from './absence.ts';
import type { ArtifactPins } from './artifact-pins.ts';
import type { StoreIndex } from './store-index.ts';
import type { StorePlaces } from './store-places.ts';
import type { TurnTaking } from './turn-taking.ts';

export interface StoreRemovalParts {
  readonly places: StorePlaces;
  readonly index: StoreIndex;
  readonly pins: ArtifactPins;
  /** Nothing gets its name while it is being removed. */
  readonly turns: TurnTaking<ArtifactId>;
}

/** How things leave a store. */
export class StoreRemoval {
  readonly #parts: StoreRemovalParts;

  constructor(parts: StoreRemovalParts) {
    this.#parts = parts;
  }

  /**
   * Removes an artifact and all that was made of it. What a container has open stays until it is closed. The bytes go
   * last: a daemon that is killed in between leaves a whole artifact.
   */
  async remove(artifact: ArtifactId): Promise<void> {
    await this.#removeIf(artifact, () => true);
  }

  /** The same, unless it is pinned, or was used here after `seenAtMs`. Whether it is gone. */
  removeUnused(artifact: ArtifactId, seenAtMs: number): Promise<boolean> {
    return this.#removeIf(
      artifact,
      () =>
        !this.#parts.pins.isPinned(artifact) && this.#parts.index.isUnusedSince(artifact, seenAtMs),
    );
  }

  /** Removes the laid out trees of such listings, unless they are pinned. They are laid out again when they are needed. */
  async dropTrees(isMeant: (listing: ArtifactId) => boolean = () => true): Promise<void> {
    for (const listing of await this.#parts.places.treesThere()) {
      const away = await this.#parts.turns.run(listing, async () => {
        if (this.#parts.pins.isPinned(listing) || !isMeant(listing)) return undefined;
        return await this.#parts.places.moveAway(this.#parts.places.tree(listing));
      });
      if (away !== undefined) await rm(away, { recursive: true, force: true });
    }
  }

  /** What a transfer left behind that was given up for good: the whole came another way. */
  async dropPartial(artifact: ArtifactId): Promise<void> {
    if (this.#parts.index.partial(artifact)?.isOpen !== false) return;
    this.#parts.index.forgetPartial(artifact);
    await rm(this.#parts.places.partial(artifact), { recursive: true, force: true });
  }

  async #removeIf(artifact: ArtifactId, mayGo: () => boolean): Promise<boolean> {
    const { places, index } = this.#parts;
    const away: (string | undefined)[] = [];
    const isGone = await this.#parts.turns.run(artifact, async () => {
      // Only here: who pins it from now on and then looks waits until it is gone.
      if (!mayGo()) return false;
      index.forgetWhole(artifact);
      index.forgetPartial(artifact);
      away.push(await places.moveAway(places.tree(artifact)));
      away.push(await places.moveAway(places.partial(artifact)));
      await unlinkIfThere(places.executable(artifact));
      await unlinkIfThere(places.chunkList(artifact));
      await unlinkIfThere(places.file(artifact));
      return true;
    });
    for (const folder of away) {
      if (folder !== undefined) await rm(folder, { recursive: true, force: true });
    }
    return isGone;
  }
}
