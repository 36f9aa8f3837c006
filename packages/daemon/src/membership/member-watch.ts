import type { Clock, MemberDirectory } from '@podmesh/core';
import { type MeshConnection, memberHints, noteSeen } from '@podmesh/jetstream';
import type { Logger } from 'pino';

export interface MemberWatchParts {
  readonly connection: MeshConnection;
  readonly members: MemberDirectory;
  /** Absent in a mesh without roles. */
  readonly self: string;
  readonly clock: Clock;
  readonly logger: Logger;
  /** All certificates that are good no more, whenever they may have changed. */
  readonly onRevoked: (fingerprints: readonly string[]) => void;
}

/** A hint may be lost: as long at most does somebody who was revoked still get artifacts of us. */
const LOOK_MS = 30_000;
const SEEN_MS = 60_000;

/** Learns who was revoked, within a moment where the mesh can say so, and says that this member is there. */
export class MemberWatch {
  readonly #parts: MemberWatchParts;
  readonly #stop = new AbortController();
  #loops: Promise<unknown> = Promise.resolve();

  constructor(parts: MemberWatchParts) {
    this.#parts = parts;
  }

  /** Resolves when what was revoked so far is known, or cannot be read now. */
  async start(): Promise<void> {
    await this.#look();
    this.#loops = Promise.all([this.#hints(), this.#looks(), this.#seen()]);
  }

  /** Harmless when never started, or twice. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#loops;
  }

  async #hints(): Promise<void> {
    for await (const _ of memberHints(this.#parts.connection, this.#stop.signal))
      await this.#look();
  }

  async #looks(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      await this.#parts.clock.sleep(LOOK_MS, signal);
      if (!signal.aborted) await this.#look();
    }
  }

  async #seen(): Promise<void> {
    const { connection, self, clock, logger } = this.#parts;
    const { signal } = this.#stop;
    while (!signal.aborted) {
      await noteSeen(connection, self).catch((error: unknown) =>
        logger.debug({ err: error }, 'could not say that this member is there'),
      );
      await clock.sleep(SEEN_MS, signal);
    }
  }

  async #look(): Promise<void> {
    const { members, onRevoked, logger } = this.#parts;
    try {
      onRevoked((await members.list()).flatMap(({ revoked }) => revoked));
    } catch (error) {
      logger.debug({ err: error }, 'could not read who is in the mesh; looks again');
    }
  }
}
