import {
  type ArtifactId,
  hasSome,
  type PeerDirectory,
  type PeerId,
  SOURCE_CORRUPT_MS,
  TRANSFERS_MAX,
  type TransferOrder,
  WHO_HAS_ARTIFACTS_MAX,
} from '@podmesh/core';
import { ChunkMemory } from './chunk-memory.ts';
import { Slots } from './slots.ts';
import { TransferError } from './transfer-error.ts';
import { TransferRun, type TransferRunParts } from './transfer-run.ts';

export interface TransfersParts extends Omit<TransferRunParts, 'isBlamed' | 'memory'> {
  readonly peer: PeerId;
  /** Where nobody but this peer is listed, nobody is asked. Absent: they always are. */
  readonly peers?: Pick<PeerDirectory, 'list'>;
  /** Told of each that was begun. `error`: why it did not come. */
  readonly onEnd?: (artifact: ArtifactId, error?: unknown) => void;
}

export interface TransferWish extends Pick<TransferOrder, 'bytes' | 'hints'> {
  readonly signal: AbortSignal;
}

/** Whether anybody else takes part is looked up again after this. */
const ALONE_MS = 5_000;
/** What nobody had is not asked for again so long: it costs a second of waiting each time. */
const MISSING_MS = 5_000;
/** Above this, what is remembered too long is thrown away. */
const MISSING_MAX = 4_096;

interface Flight {
  readonly stop: AbortController;
  readonly landed: Promise<void>;
  joined: number;
}

/** Gets artifacts from other peers: each once, whoever wants it meanwhile, and few at the same time. */
export class Transfers {
  readonly #parts: TransfersParts;
  readonly #memory = new ChunkMemory();
  readonly #slots = new Slots(TRANSFERS_MAX);
  readonly #flights = new Map<ArtifactId, Flight>();
  readonly #blamedUntilMs = new Map<PeerId, number>();
  readonly #missingUntilMs = new Map<ArtifactId, number>();
  readonly #stop = new AbortController();
  #alone: { readonly untilMs: number; readonly isAlone: Promise<boolean> } | undefined;

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

  /** Of the given ones, those that no other peer has; one question for as many as fit into it. Never throws. */
  async nobodyHas(
    artifacts: readonly ArtifactId[],
    signal: AbortSignal,
  ): Promise<ReadonlySet<ArtifactId>> {
    if (await this.#isAlone()) return new Set(artifacts);
    const missing = new Set(artifacts.filter((artifact) => this.#isMissing(artifact)));
    const open = artifacts.filter((artifact) => !missing.has(artifact));
    for (let at = 0; at < open.length && !signal.aborted; at += WHO_HAS_ARTIFACTS_MAX) {
      const asked = open.slice(at, at + WHO_HAS_ARTIFACTS_MAX);
      for (const artifact of await this.#askFor(asked, signal)) {
        this.#noteMissing(artifact);
        missing.add(artifact);
      }
    }
    return missing;
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
    const isHinted = hints !== undefined && hints.length > 0;
    if (!isHinted && (this.#isMissing(artifact) || (await this.#isAlone()))) {
      throw new TransferError(artifact, 'no-source');
    }
    const run = new TransferRun(
      { ...this.#parts, memory: this.#memory, isBlamed: (peer) => this.#isBlamed(peer) },
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
      if (error instanceof TransferError && error.why === 'no-source') this.#noteMissing(artifact);
      throw error;
    } finally {
      const untilMs = this.#parts.clock.nowMs() + SOURCE_CORRUPT_MS;
      for (const peer of run.blamed) this.#blamedUntilMs.set(peer, untilMs);
    }
  }

  /** A mesh that cannot be asked says nothing about anything. */
  async #askFor(
    artifacts: readonly ArtifactId[],
    signal: AbortSignal,
  ): Promise<readonly ArtifactId[]> {
    try {
      const { found } = await this.#parts.finder.whoHas(artifacts, 'first', signal);
      const isElsewhere = (artifact: ArtifactId) =>
        found.get(artifact)?.some((held) => held.peer !== this.#parts.peer && hasSome(held)) ===
        true;
      return artifacts.filter((artifact) => !isElsewhere(artifact));
    } catch {
      return [];
    }
  }

  #isAlone(): Promise<boolean> {
    const { peers, peer: self, clock } = this.#parts;
    if (peers === undefined) return Promise.resolve(false);
    if (this.#alone === undefined || this.#alone.untilMs <= clock.nowMs()) {
      const isAlone = peers
        .list()
        .then((entries) => entries.every(({ peer }) => peer === self))
        .catch(() => false);
      this.#alone = { untilMs: clock.nowMs() + ALONE_MS, isAlone };
    }
    return this.#alone.isAlone;
  }

  #isMissing(artifact: ArtifactId): boolean {
    const untilMs = this.#missingUntilMs.get(artifact);
    if (untilMs === undefined) return false;
    if (this.#parts.clock.nowMs() < untilMs) return true;
    this.#missingUntilMs.delete(artifact);
    return false;
  }

  #noteMissing(artifact: ArtifactId): void {
    if (this.#missingUntilMs.size >= MISSING_MAX) {
      for (const known of [...this.#missingUntilMs.keys()]) this.#isMissing(known);
    }
    this.#missingUntilMs.set(artifact, this.#parts.clock.nowMs() + MISSING_MS);
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
