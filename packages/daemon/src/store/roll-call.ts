import {
  type ArtifactFinder,
  type ArtifactId,
  type ArtifactRef,
  type ArtifactStore,
  type Clock,
  WHO_HAS_ARTIFACTS_MAX,
} from '@podmesh/core';
import { wholeFiles } from '@podmesh/jetstream';

/** Who is listed and silent so long counts as one that has nothing. It leaves the list after a third of that if it is gone. */
const SILENT_MS = 30_000;
const ASK_AGAIN_MS = 2_000;

export interface RollCallParts {
  readonly objects: ArtifactStore;
  readonly finder: Pick<ArtifactFinder, 'whoHas'>;
  readonly clock: Clock;
}

/**
 * Artifacts as they can be had from anybody, where it matters that one is *not* there: all peers are asked, and who
 * does not answer is waited for. Rejects while the mesh itself is away: then nothing is known of anything.
 */
export class RollCall implements Pick<ArtifactStore, 'stat' | 'get'> {
  readonly #parts: RollCallParts;
  readonly #signal: AbortSignal;

  constructor(parts: RollCallParts, signal: AbortSignal) {
    this.#parts = parts;
    this.#signal = signal;
  }

  /** Listings are in the object store. */
  get(artifact: ArtifactId): AsyncIterable<Uint8Array> {
    return this.#parts.objects.get(artifact);
  }

  async stat(artifacts: readonly ArtifactId[]): Promise<ReadonlyMap<ArtifactId, ArtifactRef>> {
    const found = new Map(await this.#parts.objects.stat(artifacts));
    const open = [...new Set(artifacts)].filter((artifact) => !found.has(artifact));
    for (let from = 0; from < open.length; from += WHO_HAS_ARTIFACTS_MAX) {
      const asked = open.slice(from, from + WHO_HAS_ARTIFACTS_MAX);
      for (const ref of await this.#callFor(asked)) found.set(ref.digest, ref);
    }
    return found;
  }

  async #callFor(artifacts: readonly ArtifactId[]): Promise<readonly ArtifactRef[]> {
    const { finder, clock } = this.#parts;
    const untilMs = clock.nowMs() + SILENT_MS;
    const found = new Map<ArtifactId, ArtifactRef>();
    for (;;) {
      const open = artifacts.filter((artifact) => !found.has(artifact));
      const answers = await finder.whoHas(open, 'roll-call', this.#signal);
      for (const ref of wholeFiles([...answers.found.values()].flat())) found.set(ref.digest, ref);
      const isOver = found.size === artifacts.length || answers.silent.length === 0;
      if (isOver || clock.nowMs() >= untilMs) return [...found.values()];
      await clock.sleep(ASK_AGAIN_MS, this.#signal);
      this.#signal.throwIfAborted();
    }
  }
}
