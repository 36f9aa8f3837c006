/**
 * A bounded number of pieces of work at the same time, the others in the order in which they came. A slot is
 * held exactly as long as its work: there is nothing to give back, and so nothing to forget.
 */
export class Slots {
  readonly #max: number;
  readonly #held = new Map<symbol, string>();
  readonly #waiting = new Set<() => void>();

  constructor(max: number) {
    this.#max = max;
  }

  /** What holds a slot now. */
  get held(): readonly string[] {
    return [...this.#held.values()];
  }

  /** Runs `work` when it is its turn; rejects with the signal's reason if that aborts before. */
  async run<Value>(key: string, work: () => Promise<Value>, signal: AbortSignal): Promise<Value> {
    const slot = Symbol(key);
    await this.#take(slot, key, signal);
    try {
      return await work();
    } finally {
      this.#held.delete(slot);
      const [next] = this.#waiting;
      next?.();
    }
  }

  async #take(slot: symbol, key: string, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (this.#held.size < this.#max) {
      this.#held.set(slot, key);
      return;
    }
    await new Promise<void>((resolve, reject) => {
      // The slot is taken in the same turn in which it is given: nobody can come in between.
      const turn = (): void => {
        leave();
        this.#held.set(slot, key);
        resolve();
      };
      const abort = (): void => {
        leave();
        reject(signal.reason);
      };
      const leave = (): void => {
        this.#waiting.delete(turn);
        signal.removeEventListener('abort', abort);
      };
      this.#waiting.add(turn);
      signal.addEventListener('abort', abort, { once: true });
    });
  }
}
