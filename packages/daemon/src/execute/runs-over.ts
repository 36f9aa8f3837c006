import type { Clock, RunId, RunLog } from '@podmesh/core';

/** An answer "not over" is believed for this long; cancellations arrive as hints much sooner. */
const BELIEVED_MS = 10_000;
/** Runs remembered; the oldest is forgotten first and simply asked about again. */
const REMEMBERED_RUNS_MAX = 1_000;

/** Which runs may start nothing more, without asking the log for every task. */
export class RunsOver {
  readonly #log: RunLog;
  readonly #clock: Clock;
  readonly #over = new Set<RunId>();
  readonly #askedAtMs = new Map<RunId, number>();

  constructor(log: RunLog, clock: Clock) {
    this.#log = log;
    this.#clock = clock;
  }

  note(run: RunId): void {
    this.#over.add(run);
    forgetOldest(this.#over);
  }

  async has(run: RunId): Promise<boolean> {
    if (this.#over.has(run)) return true;
    const askedAtMs = this.#askedAtMs.get(run);
    const nowMs = this.#clock.nowMs();
    if (askedAtMs !== undefined && nowMs - askedAtMs < BELIEVED_MS) return false;
    if (await this.#log.isOver(run)) {
      this.note(run);
      return true;
    }
    this.#askedAtMs.set(run, nowMs);
    forgetOldest(this.#askedAtMs);
    return false;
  }
}

function forgetOldest(collection: {
  readonly size: number;
  keys(): IterableIterator<RunId>;
  delete(run: RunId): boolean;
}): void {
  if (collection.size <= REMEMBERED_RUNS_MAX) return;
  for (const oldest of collection.keys()) {
    collection.delete(oldest);
    return;
  }
}
