import type { ArtifactId } from '@podmesh/core';
import type { DiskStore } from './disk-store.ts';

/** What became of an artifact that had other bytes here than its name says. */
export interface Mended {
  readonly artifact: ArtifactId;
  /**
   * `fetched`: right again, from another holder. `copied`: only its copy with the executable bit was wrong, which is
   * made again from the other. `lost`: not here any more; who needs it next has its producer done again.
   */
  readonly now: 'fetched' | 'copied' | 'lost';
  /** Why it was not had from anybody else. */
  readonly why?: string;
  /** Tasks that read it, and were ended: what they made of it is nothing that may be kept. */
  readonly ended: readonly string[];
}

/** Whoever is at work with artifacts of this store. */
export interface ArtifactReaders {
  /** Ends the attempts that have any of these among their inputs; which tasks they are of. */
  endReadersOf(inputs: ReadonlySet<ArtifactId>): readonly string[];
}

export interface WrongBytesParts {
  readonly store: DiskStore;
  /** Brings an artifact to this disk from whoever has it; rejects when nobody gives it. */
  readonly fetchAgain: (artifact: ArtifactId, signal: AbortSignal) => Promise<void>;
}

/** Takes bytes that are not what their name says out of use, and gets the right ones. */
export class WrongBytes {
  readonly #parts: WrongBytesParts;
  #readers: ArtifactReaders | undefined;

  constructor(parts: WrongBytesParts) {
    this.#parts = parts;
  }

  /** Before that nobody reads anything. */
  open(readers: ArtifactReaders): void {
    this.#readers = readers;
  }

  /**
   * No pin keeps wrong bytes: from here on nobody is served them and no task is given them, as a file or inside of a
   * folder. `file`: the artifact's own; else only its copy with the executable bit is wrong.
   */
  async mend(artifact: ArtifactId, wrong: 'file' | 'executable', signal: AbortSignal) {
    const { store } = this.#parts;
    const rank = store.index.whole(artifact)?.rank;
    const folders =
      wrong === 'file' ? await store.setAside(artifact) : await store.setExecutableAside(artifact);
    const ended = this.#readers?.endReadersOf(new Set([artifact, ...folders])) ?? [];
    if (wrong === 'executable') return { artifact, now: 'copied', ended } satisfies Mended;
    try {
      await this.#parts.fetchAgain(artifact, signal);
    } catch (error) {
      signal.throwIfAborted();
      const why = error instanceof Error ? error.message : String(error);
      return { artifact, now: 'lost', why, ended } satisfies Mended;
    }
    // It is worth here what it was.
    if (rank !== undefined) store.index.setRank(artifact, rank);
    return { artifact, now: 'fetched', ended } satisfies Mended;
  }
}
