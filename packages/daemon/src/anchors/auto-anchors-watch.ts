import {
  type AnchorRecord,
  AUTO_ANCHORS_PATIENCE,
  type AutoAnchorsMemory,
  type AutoAnchorsPatience,
  autoAnchors,
  type Clock,
  candidateOf,
  type PeerDirectory,
  type PeerId,
} from '@podmesh/core';
import type { Logger } from 'pino';

export interface AutoAnchorsParts {
  readonly self: PeerId;
  readonly peers: Pick<PeerDirectory, 'list'>;
  /** Undefined while this peer carries no server. */
  readonly record: () => AnchorRecord | undefined;
  /** Names of all servers that answer now. */
  readonly answering: () => Promise<readonly string[]>;
  /** Throws a sentence when it cannot be now. */
  readonly change: (wanted: readonly PeerId[]) => unknown;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly patience?: AutoAnchorsPatience;
}

/** Several looks in each time that something must have been so. */
const LOOKS = 15;

/** Makes the steadiest machines anchors without being asked, where the keys of the mesh are and its owner wants that. */
export class AutoAnchorsWatch {
  readonly #parts: AutoAnchorsParts;
  readonly #stop = new AbortController();
  #loop: Promise<void> = Promise.resolve();
  #memory: AutoAnchorsMemory | undefined;
  /** Why the last look came to nothing. */
  #trouble: string | undefined;

  constructor(parts: AutoAnchorsParts) {
    this.#parts = parts;
  }

  start(): void {
    this.#loop = this.#watch();
  }

  /** Harmless when never started, or called twice. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#loop;
  }

  async #watch(): Promise<void> {
    const { signal } = this.#stop;
    const { clock, patience = AUTO_ANCHORS_PATIENCE } = this.#parts;
    while (!signal.aborted) {
      await clock.sleep(patience.steadyMs / LOOKS, signal);
      if (signal.aborted) return;
      try {
        await this.#look();
        this.#trouble = undefined;
      } catch (error) {
        // While the mesh cannot tell, nothing is known; a long time of it is forgotten like a sleep.
        this.#tell(error);
      }
    }
  }

  /** Once for each kind of trouble, until it is over: a look comes every few seconds. */
  #tell(error: unknown): void {
    const kind = error instanceof Error ? error.name : String(error);
    if (kind === this.#trouble) return;
    this.#trouble = kind;
    this.#parts.logger.warn(
      { err: error },
      'cannot see whether other anchors are needed; --auto-anchors changes nothing until it can',
    );
  }

  async #look(): Promise<void> {
    const { self, peers, clock, change, logger, patience } = this.#parts;
    const record = this.#parts.record();
    if (record === undefined) return;
    const [entries, answering] = await Promise.all([peers.list(), this.#parts.answering()]);
    const now = record.anchors.map(({ peer }) => peer);
    const { memory, wanted } = autoAnchors(
      this.#memory,
      {
        record,
        self,
        candidates: entries.map((entry) => candidateOf(entry, now)),
        silent: record.anchors
          .filter(({ server }) => !answering.includes(server))
          .map(({ peer }) => peer),
      },
      clock.nowMs(),
      patience,
    );
    this.#memory = memory;
    if (wanted === undefined || this.#stop.signal.aborted) return;
    logger.info(`taking other anchors, as --auto-anchors says: ${wanted.join(', ')}`);
    try {
      change(wanted);
    } catch (error) {
      logger.warn({ err: error }, 'the anchors stay what they are');
    }
  }
}
