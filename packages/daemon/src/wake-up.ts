/** Lets loops wait for a fact instead of time: `ring` wakes everyone who waits, or the next one to wait. */
export class WakeUp {
  #rung = false;
  readonly #waiting = new Set<() => void>();

  ring(): void {
    this.#rung = true;
    for (const wake of [...this.#waiting]) wake();
  }

  /** Resolves at the next ring, at once when it rang since the last wait, or when the signal aborts. */
  async next(signal: AbortSignal): Promise<void> {
    if (!this.#rung && !signal.aborted) {
      await new Promise<void>((resolve) => {
        const wake = (): void => {
          this.#waiting.delete(wake);
          signal.removeEventListener('abort', wake);
          resolve();
        };
        this.#waiting.add(wake);
        signal.addEventListener('abort', wake, { once: true });
      });
    }
    this.#rung = false;
  }
}
