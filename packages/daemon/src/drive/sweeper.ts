import type {
  ClaimId,
  OfferQueue,
  PeerDirectory,
  Requirements,
  RunId,
  RunLog,
  RunState,
} from '@podmesh/core';
import type { Logger } from 'pino';

/** Task number → the attempt that was offered, how many sweeps have seen it so, and what it asks of a peer. */
export type Offered = Map<number, OfferedTask>;

interface OfferedTask {
  readonly attempt: number;
  age: number;
  /** Absent: as its job says. */
  readonly requirements?: Requirements;
}

export interface SweeperParts {
  readonly log: RunLog;
  readonly offers: OfferQueue;
  readonly peers: PeerDirectory;
  readonly logger: Logger;
}

/**
 * Compares what the driver offered with what is really queued, started or finished (DESIGN §5).
 * The queue may lose anything at any time; the log tells what is to be done again.
 */
export class Sweeper {
  readonly #parts: SweeperParts;
  readonly #run: RunId;
  readonly #offered: Offered;
  readonly #unspoken = new Set<ClaimId>();

  constructor(parts: SweeperParts, run: RunId, offered: Offered) {
    this.#parts = parts;
    this.#run = run;
    this.#offered = offered;
  }

  /** Whether something has to be decided again. */
  async sweep(state: RunState): Promise<boolean> {
    const waiting = await this.#parts.offers.waiting(this.#run);
    const isQueued = (task: number): boolean => waiting.has(state.index.idOf(task));
    let vanished = 0;
    for (const [task, offered] of this.#offered) {
      // One published while we asked is not in the answer: only the second sweep is sure.
      offered.age += 1;
      if (offered.age < 2 || isQueued(task)) continue;
      this.#offered.delete(task);
      vanished += 1;
    }
    if (vanished > 0) {
      this.#parts.logger.info({ run: this.#run, vanished }, 'offers vanished; offering again');
    }
    await this.#declareOrphansLost(state, isQueued);
    return vanished > 0;
  }

  /** An open attempt whose offer is gone is never redelivered: nobody but us would notice its peer's death. */
  async #declareOrphansLost(state: RunState, isQueued: (task: number) => boolean): Promise<void> {
    const orphans = [...state.running].filter((task) => !isQueued(task));
    if (orphans.length === 0) return;
    const held = new Set((await this.#parts.peers.list()).flatMap((entry) => entry.claims));
    for (const task of orphans) {
      const open = state.tasks[task];
      if (open?.kind !== 'running' || held.has(open.claim) || this.#isNew(open.claim)) continue;
      const { attempt, claim, peer, sequence } = open;
      const reason = 'it no longer has the attempt in hand, and the offer is no longer queued';
      await this.#parts.log.append(
        {
          kind: 'attempt-lost',
          run: this.#run,
          task: state.index.idOf(task),
          attempt,
          claim,
          peer,
          reason,
        },
        sequence,
      );
    }
  }

  /** A peer speaks of a claim with its next heartbeat: only the second sweep is sure. */
  #isNew(claim: ClaimId): boolean {
    if (this.#unspoken.has(claim)) return false;
    this.#unspoken.add(claim);
    return true;
  }
}
