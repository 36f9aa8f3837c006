import {
  type ArtifactId,
  ArtifactMissingError,
  type ArtifactRef,
  type ArtifactStore,
} from '@podmesh/core';
import { parseTree } from '@podmesh/jetstream';

/** Finds out whose bytes are gone. */
export interface LostOutputs {
  /**
   * Of the given artifacts, those that nobody can give any more; a directory counts with everything below
   * its listing. What cannot be known now is an error, and never a loss.
   */
  missing(artifacts: readonly ArtifactRef[]): Promise<readonly ArtifactId[]>;
}

/** What the store has not, nobody has. */
export class LostFromStore implements LostOutputs {
  readonly #store: Pick<ArtifactStore, 'stat' | 'get'>;

  constructor(store: Pick<ArtifactStore, 'stat' | 'get'>) {
    this.#store = store;
  }

  async missing(artifacts: readonly ArtifactRef[]): Promise<readonly ArtifactId[]> {
    const known: Known = new Map();
    await this.#look(artifacts, known);
    const lost = artifacts.filter((artifact) => !isWhole(known, artifact));
    return [...new Set(lost.map(({ digest }) => digest))];
  }

  /** One level of directories after the other: each is one question to the store. */
  async #look(artifacts: readonly ArtifactRef[], known: Known): Promise<void> {
    const asked = artifacts.filter((artifact) => !known.has(keyOf(artifact)));
    if (asked.length === 0) return;
    const there = await this.#store.stat([...new Set(asked.map(({ digest }) => digest))]);
    const below = new Map<string, readonly ArtifactRef[]>();
    for (const artifact of asked) {
      const key = keyOf(artifact);
      known.set(key, there.has(artifact.digest));
      if (artifact.kind === 'file' || !there.has(artifact.digest) || below.has(key)) continue;
      const parts = await this.#partsOf(artifact.digest);
      if (parts === undefined) known.set(key, false);
      else below.set(key, parts);
    }
    await this.#look([...below.values()].flat(), known);
    for (const [key, parts] of below) {
      known.set(
        key,
        parts.every((part) => isWhole(known, part)),
      );
    }
  }

  /** Undefined: the listing was lost since we asked. */
  async #partsOf(directory: ArtifactId): Promise<readonly ArtifactRef[] | undefined> {
    const pieces: Uint8Array[] = [];
    try {
      for await (const piece of this.#store.get(directory)) pieces.push(piece);
    } catch (error) {
      if (error instanceof ArtifactMissingError) return undefined;
      throw error;
    }
    const { entries } = parseTree(Buffer.concat(pieces), directory);
    return entries.flatMap((entry): readonly ArtifactRef[] => {
      if (entry.kind === 'file')
        return [{ digest: entry.digest, kind: 'file', bytes: entry.bytes }];
      if (entry.kind === 'tree') return [{ digest: entry.digest, kind: 'dir', bytes: 0 }];
      return [];
    });
  }
}

/** By kind as well: the listing of a directory is a file like any other to who asks for it as one. */
type Known = Map<string, boolean>;

const keyOf = ({ kind, digest }: ArtifactRef): string => `${kind} ${digest}`;

const isWhole = (known: Known, artifact: ArtifactRef): boolean =>
  known.get(keyOf(artifact)) === true;
