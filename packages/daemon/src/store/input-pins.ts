import type { ArtifactId, ClaimId, PinReason } from '@podmesh/core';
import type { ArtifactPins } from './artifact-pins.ts';

/** A directory that attempts read: its files are pinned once, however many read it at the same time. */
interface PinnedDirectory {
  readonly reason: PinReason;
  readonly users: Set<ClaimId>;
  members: ReadonlySet<ArtifactId>;
  pinned: Promise<void> | undefined;
}

/**
 * Keeps what attempts read from being evicted until they are settled. An attempt costs as much as it has inputs:
 * the files of a directory, of which there may be many, are pinned by the first who reads it and unpinned by the last.
 */
export class InputPins {
  readonly #pins: ArtifactPins;
  readonly #files = new Map<ClaimId, Set<ArtifactId>>();
  readonly #directories = new Map<ArtifactId, PinnedDirectory>();

  constructor(pins: ArtifactPins) {
    this.#pins = pins;
  }

  pin(claim: ClaimId, artifact: ArtifactId): void {
    const files = this.#files.get(claim) ?? new Set();
    this.#files.set(claim, files.add(artifact));
    this.#pins.pin(artifact, { kind: 'input', claim });
  }

  /**
   * Pins the listing at once and resolves when everything below is pinned. `members` is asked for that, unless the
   * directory is in use already, and again the next time if it rejects.
   */
  async pinDirectory(
    claim: ClaimId,
    listing: ArtifactId,
    members: () => Promise<readonly ArtifactId[]>,
  ): Promise<void> {
    this.pin(claim, listing);
    const directory = this.#directories.get(listing) ?? newDirectory(claim, listing);
    this.#directories.set(listing, directory);
    directory.users.add(claim);
    directory.pinned ??= this.#pinMembers(directory, members);
    try {
      await directory.pinned;
    } catch (error) {
      directory.pinned = undefined;
      throw error;
    }
  }

  /** Harmless for a claim that has pinned nothing. */
  release(claim: ClaimId): void {
    const files = this.#files.get(claim);
    if (files === undefined) return;
    this.#files.delete(claim);
    for (const artifact of files) {
      this.#pins.unpin(artifact, { kind: 'input', claim });
      this.#leave(claim, artifact);
    }
  }

  #leave(claim: ClaimId, listing: ArtifactId): void {
    const directory = this.#directories.get(listing);
    if (directory?.users.delete(claim) !== true || directory.users.size > 0) return;
    this.#directories.delete(listing);
    this.#pins.unpinSet(directory.members);
  }

  async #pinMembers(
    directory: PinnedDirectory,
    members: () => Promise<readonly ArtifactId[]>,
  ): Promise<void> {
    const found = await members();
    // Everybody may have left meanwhile.
    if (directory.users.size === 0) return;
    directory.members = new Set(found);
    this.#pins.pinSet(directory.members, directory.reason);
  }
}

function newDirectory(claim: ClaimId, of: ArtifactId): PinnedDirectory {
  const reason = { kind: 'input', claim, of } as const;
  return { reason, users: new Set(), members: new Set(), pinned: undefined };
}
