import { readFile, rm } from 'node:fs/promises';
import type { ArtifactId, Tree } from '@podmesh/core';
import { parseTree } from '@podmesh/jetstream';
import { unlinkIfThere } from './absence.ts';
import type { ArtifactPins } from './artifact-pins.ts';
import type { StoreIndex } from './store-index.ts';
import type { StorePlaces } from './store-places.ts';
import { treeMembers } from './tree-members.ts';
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
  #asides = 0;

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

  /**
   * Takes an artifact whose bytes are wrong out of use, with every folder that has it in it, whatever is pinned. Which
   * folders those were; they are laid out again when they are needed.
   */
  async setAside(artifact: ArtifactId): Promise<readonly ArtifactId[]> {
    await this.remove(artifact);
    return await this.#dropTreesWith(artifact);
  }

  /** The same of its copy with the executable bit alone. */
  async setExecutableAside(artifact: ArtifactId): Promise<readonly ArtifactId[]> {
    await this.#parts.turns.run(artifact, async () => {
      await unlinkIfThere(this.#parts.places.executable(artifact));
      this.#parts.index.noteExecutable(artifact, false);
    });
    return await this.#dropTreesWith(artifact);
  }

  /** Folders that were begun before it changed may have been made of wrong bytes. */
  get asides(): number {
    return this.#asides;
  }

  async #dropTreesWith(artifact: ArtifactId): Promise<readonly ArtifactId[]> {
    // Before it is seen which there are: one that is finished later sees this.
    this.#asides += 1;
    const { places, turns } = this.#parts;
    const dropped: ArtifactId[] = [];
    for (const listing of await places.treesThere()) {
      if (!(await this.#mayHold(listing, artifact))) continue;
      dropped.push(listing);
      const away = await turns.run(listing, () => places.moveAway(places.tree(listing)));
      if (away !== undefined) await rm(away, { recursive: true, force: true });
    }
    return dropped;
  }

  /** What cannot be read counts as if it did. */
  async #mayHold(listing: ArtifactId, artifact: ArtifactId): Promise<boolean> {
    const readTree = async (tree: ArtifactId): Promise<Tree> =>
      parseTree(await readFile(this.#parts.places.file(tree)), tree);
    try {
      return (await treeMembers(readTree, listing)).includes(artifact);
    } catch {
      return true;
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
