import {
  type ArtifactId,
  type PeerId,
  SOURCE_CORRUPT_MS,
  TRANSFERS_MAX,
  type TransferOrder,
} from '@podmesh/core';
import { Slots } from './slots.ts';
import { TransferRun, type TransferRunParts } from './transfer-run.ts';

export interface TransfersParts extends Omit<TransferRunParts, 'isBlamed'> {
  readonly peer: PeerId;
  /** Told of each that was begun. `error`: why it did not come. */
  readonly onEnd?: (artifact: ArtifactId, error?: unknown) => void;
}

export interface TransferWish extends Pick<TransferOrder, 'bytes' | 'hints'> {
  readonly signal: AbortSignal;
}

interface Flight {
  readonly stop: AbortController;
  readonly landed: Promise<void>;
  joined: number;
}

/** Gets artifacts from other peers: each once, whoever wants it meanwhile, and few at the same time. */
export class Transfers {
  readonly #parts: TransfersParts;
  readonly #slots = new Slots(TRANSFERS_MAX);
  readonly #flights = new Map<ArtifactId, Flight>();
  readonly #blamedUntilMs = new Map<PeerId, number>();
  readonly #stop = new AbortController();

  constructor(parts: TransfersParts) {
    this.#parts = parts;
  }

  /** Transfers that are on their way now; others wait. */
  get underWay(): readonly string[] {
    return this.#slots.held;
  }

  /**
   * Resolves when the artifact is on this disk. Rejects with a `TransferError`, with what the disk throws, or
   * with the signal's reason; a transfer that nobody waits for any more ends, and the next goes on with it.
   */
  async get(artifact: ArtifactId, wish: TransferWish): Promise<void> {
    const { signal } = wish;
    for (;;) {
      this.#stop.signal.throwIfAborted();
      signal.throwIfAborted();
      const flight = this.#flights.get(artifact) ?? this.#takeOff(artifact, wish);
      if (!flight.stop.signal.aborted) return await join(flight, signal);
      // Everybody had left it: it has to land before the next.
      await flight.landed.catch(() => undefined);
    }
  }

  /** Ends all transfers; what is here of them is kept. */
  async stop(): Promise<void> {
    this.#stop.abort(new Error('this peer stops'));
    for (const { stop } of this.#flights.values()) stop.abort(this.#stop.signal.reason);
    await Promise.allSettled([...this.#flights.values()].map(({ landed }) => landed));
  }

  #takeOff(artifact: ArtifactId, wish: TransferWish): Flight {
    const stop = new AbortController();
    const landed = this.#slots
      .run(artifact, () => this.#transfer(artifact, wish, stop.signal), stop.signal)
      .finally(() => this.#flights.delete(artifact));
    // Whoever waits for it meets the failure; they may all have left.
    landed.catch(() => undefined);
    const flight = { stop, landed, joined: 0 };
    this.#flights.set(artifact, flight);
    return flight;
  }

  async #transfer(artifact: ArtifactId, wish: TransferWish, signal: AbortSignal): Promise<void> {
    if (await this.#parts.disk.has(artifact)) return;
    const { bytes, hints } = wish;
    const run = new TransferRun(
      { ...this.#parts, isBlamed: (peer) => this.#isBlamed(peer) },
      {
        artifact,
        self: this.#parts.peer,
        ...(bytes === undefined ? {} : { bytes }),
        ...(hints === undefined ? {} : { hints }),
      },
    );
    try {
      await run.run(signal);
      this.#parts.onEnd?.(artifact);
    } catch (error) {
      this.#parts.onEnd?.(artifact, error);
      throw error;
    } finally {
      const untilMs = this.#parts.clock.nowMs() + SOURCE_CORRUPT_MS;
      for (const peer of run.blamed) this.#blamedUntilMs.set(peer, untilMs);
    }
  }

  #isBlamed(peer: PeerId): boolean {
    const untilMs = this.#blamedUntilMs.get(peer);
    if (untilMs === undefined) return false;
    if (this.#parts.clock.nowMs() < untilMs) return true;
    this.#blamedUntilMs.delete(peer);
    return false;
  }
}

/** The last to leave ends it. */
async function join(flight: Flight, signal: AbortSignal): Promise<void> {
  flight.joined += 1;
  try {
    await new Promise<void>((resolve, reject) => {
      const leave = (): void => reject(signal.reason);
      signal.addEventListener('abort', leave, { once: true });
      flight.landed.then(resolve, reject).finally(() => signal.removeEventListener('abort', leave));
    });
  } finally {
    flight.joined -= 1;
    if (flight.joined === 0) flight.stop.abort(signal.reason);
  }
}
