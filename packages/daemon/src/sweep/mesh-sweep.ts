import type { ArtifactId, Clock, Sequence } from '@podmesh/core';
import type { Logger } from 'pino';
import { isDue, type SweepPassParts, sweepOnce } from './sweep-pass.ts';

/** How often a peer looks whether a pass is due, and whether what it holds was overtaken by one. */
const LOOK_MS = 15 * 60 * 1_000;

export interface MeshSweepParts extends SweepPassParts {
  readonly clock: Clock;
  readonly logger: Logger;
  /** From 0 to 1: so that not all peers look at once. */
  readonly random: () => number;
  /** What attempts of this peer put and nothing refers to yet. */
  readonly held: () => readonly ArtifactId[];
  /** Whether this peer may remove anything; once it may not, it sweeps no more. */
  readonly mayRemove: () => boolean;
}

/** Sweeps the object store now and then, as every peer does: whoever looks first when a pass is due makes it. */
export class MeshSweep {
  readonly #parts: MeshSweepParts;
  readonly #stop = new AbortController();
  #loop: Promise<void> = Promise.resolve();
  #started = false;
  #refreshedFor: Sequence = 0;

  constructor(parts: MeshSweepParts) {
    this.#parts = parts;
  }

  start(): void {
    if (this.#started || this.#stop.signal.aborted) return;
    this.#started = true;
    this.#loop = this.#run();
  }

  /** What a pass in progress has not done yet, the next one does. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#loop;
  }

  async #run(): Promise<void> {
    const { clock, logger, random, mayRemove } = this.#parts;
    const { signal } = this.#stop;
    while (!signal.aborted) {
      await clock.sleep(LOOK_MS * (0.5 + random()), signal);
      if (signal.aborted || !mayRemove()) return;
      try {
        await this.#look(signal);
      } catch (error) {
        if (!signal.aborted) logger.warn({ err: error }, 'the object store could not be swept');
      }
    }
  }

  async #look(signal: AbortSignal): Promise<void> {
    const { shelf, held, logger } = this.#parts;
    const seen = await shelf.look();
    const announced = seen.note?.sequence ?? 0;
    if (announced !== this.#refreshedFor) {
      await shelf.refresh(held());
      this.#refreshedFor = announced;
    }
    if (!isDue(seen)) return;
    const ending = await sweepOnce(this.#parts, signal);
    if (ending.kind === 'swept') logger.info(ending, 'swept the object store');
  }
}
