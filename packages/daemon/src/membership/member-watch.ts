import type { Clock, MemberDirectory } from '@podmesh/core';
import type { Logger } from 'pino';

export interface MemberWatchParts {
  readonly members: MemberDirectory;
  /** Yields when who is a member may have changed; a hint, which may be lost. */
  readonly hints: (signal: AbortSignal) => AsyncIterable<void>;
  /** Says that this member is there. */
  readonly noteSeen: () => Promise<void>;
  readonly clock: Clock;
  readonly logger: Logger;
  /** All certificates that are good no more, whenever they may have changed; `isNews`: somebody was revoked since. */
  readonly onRevoked: (fingerprints: readonly string[], isNews: boolean) => void;
}

/** A hint may be lost: as long at most does somebody who was revoked still get artifacts of us. One small question each. */
const LOOK_MS = 3_000;
const SEEN_MS = 60_000;

/** Learns who was revoked, within a moment where the mesh can say so, and says that this member is there. */
export class MemberWatch {
  readonly #parts: MemberWatchParts;
  readonly #stop = new AbortController();
  #loops: Promise<unknown> = Promise.resolve();
  #revision: string | undefined;
  #revocations: string | undefined;

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
    for await (const _ of this.#parts.hints(this.#stop.signal)) await this.#look();
  }

  async #looks(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      await this.#parts.clock.sleep(LOOK_MS, signal);
      if (!signal.aborted) await this.#look();
    }
  }

  async #seen(): Promise<void> {
    const { noteSeen, clock, logger } = this.#parts;
    const { signal } = this.#stop;
    while (!signal.aborted) {
      await noteSeen().catch((error: unknown) =>
        logger.debug({ err: error }, 'could not say that this member is there'),
      );
      await clock.sleep(SEEN_MS, signal);
    }
  }

  async #look(): Promise<void> {
    const { members, onRevoked, logger } = this.#parts;
    try {
      const revision = await members.revision();
      if (revision === this.#revision) return;
      const all = await members.list();
      const out = all.filter(({ revokedAtMs }) => revokedAtMs !== undefined);
      const revocations = out.map((one) => `${one.name} ${one.revokedAtMs}`).join();
      onRevoked(
        all.flatMap(({ revoked }) => revoked),
        this.#revocations !== undefined && this.#revocations !== revocations,
      );
      this.#revocations = revocations;
      this.#revision = revision;
    } catch (error) {
      logger.debug({ err: error }, 'could not read who is in the mesh; looks again');
    }
  }
}
