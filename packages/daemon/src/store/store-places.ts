import { join } from 'node:path';
import { type ArtifactId, artifactId, isDigest } from '@podmesh/core';

const PREFIX = 'sha256:';

/** Where everything of a store lies: one private folder, all on one file system. */
export class StorePlaces {
  readonly root: string;
  readonly files: string;
  readonly executables: string;
  readonly chunkLists: string;
  readonly partials: string;
  readonly temporary: string;
  readonly snapshot: string;
  readonly pins: string;
  #names = 0;

  constructor(root: string) {
    this.root = root;
    this.files = join(root, 'sha256');
    this.executables = join(root, 'executable');
    this.chunkLists = join(root, 'chunks');
    this.partials = join(root, 'partial');
    this.temporary = join(root, 'temporary');
    this.snapshot = join(root, 'index');
    this.pins = join(root, 'pins.json');
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
    return join(this.root, 'trees', hexOf(artifact));
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
