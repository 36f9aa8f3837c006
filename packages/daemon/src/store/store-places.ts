import { readdir, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { type ArtifactId, artifactId, isDigest } from '@podmesh/core';
import { isAbsence } from './absence.ts';

const PREFIX = 'sha256:';

/** Where everything of a store lies: one private folder, all on one file system. */
export class StorePlaces {
  readonly root: string;
  readonly files: string;
  readonly executables: string;
  readonly chunkLists: string;
  readonly partials: string;
  readonly trees: string;
  readonly temporary: string;
  readonly snapshot: string;
  readonly pins: string;
  /** What is held for runs: one file for each success. */
  readonly heldForRuns: string;
  #names = 0;

  constructor(root: string) {
    this.root = root;
    this.files = join(root, 'sha256');
    this.executables = join(root, 'executable');
    this.chunkLists = join(root, 'chunks');
    this.partials = join(root, 'partial');
    this.trees = join(root, 'trees');
    this.temporary = join(root, 'temporary');
    this.snapshot = join(root, 'index');
    this.pins = join(root, 'pins.json');
    this.heldForRuns = join(root, 'held');
  }

  file(artifact: ArtifactId): string {
    return inShard(this.files, artifact);
  }

  executable(artifact: ArtifactId): string {
    return inShard(this.executables, artifact);
  }

  chunkList(artifact: ArtifactId): string {
    return inShard(this.chunkLists, artifact);
  }

  /** A folder. */
  partial(artifact: ArtifactId): string {
    return join(this.partials, hexOf(artifact));
  }

  /** The folder that a directory artifact is laid out in. */
  tree(artifact: ArtifactId): string {
    return join(this.trees, hexOf(artifact));
  }

  /** Those that are laid out; what else lies in that folder is not ours. */
  async treesThere(): Promise<readonly ArtifactId[]> {
    try {
      return (await readdir(this.trees)).flatMap((name) => artifactOfHex(name) ?? []);
    } catch (error) {
      if (isAbsence(error)) return [];
      throw error;
    }
  }

  /**
   * Takes a folder's name from it in one step, so that nobody ever finds half of it under that name: who is killed
   * while deleting it leaves the rest where the next start sweeps. Returns the new name; undefined: it was not there.
   */
  async moveAway(folder: string): Promise<string | undefined> {
    const away = this.newTemporary();
    try {
      await rename(folder, away);
      return away;
    } catch (error) {
      if (isAbsence(error)) return undefined;
      throw error;
    }
  }

  /** A name that nothing else uses. */
  newTemporary(): string {
    this.#names += 1;
    return join(this.temporary, `${process.pid}-${this.#names}`);
  }
}

export function hexOf(artifact: ArtifactId): string {
  return artifact.slice(PREFIX.length);
}

/** Undefined: not the 64 hex digits of a digest. */
export function artifactOfHex(hex: string): ArtifactId | undefined {
  return isDigest(PREFIX + hex) ? artifactId(PREFIX + hex) : undefined;
}

function inShard(folder: string, artifact: ArtifactId): string {
  const hex = hexOf(artifact);
  return join(folder, hex.slice(0, 2), hex.slice(2));
}
