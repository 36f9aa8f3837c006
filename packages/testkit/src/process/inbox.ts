/**
 * What arrived for a process and was not taken yet, for one reader. What nobody read goes to
 * `unread`, also when it arrives after the end.
 */
export class Inbox<T> {
  private readonly items: T[] = [];
  private readonly unread: (item: T) => void;
  private wake: (() => void) | undefined;
  private over = false;

  constructor(unread: (item: T) => void = () => undefined) {
    this.unread = unread;
  }

  get closed(): boolean {
    return this.over;
  }

  push(item: T): void {
    if (this.over) {
      this.unread(item);
      return;
    }
    this.items.push(item);
    this.wake?.();
  }

  /** No more comes; what came before is still read. */
  close(): void {
    this.over = true;
    this.wake?.();
  }

  /** Reads until it is closed, or until `signal` aborts. */
  async *until(signal: AbortSignal): AsyncGenerator<T> {
    const abort = () => this.close();
    if (signal.aborted) this.close();
    signal.addEventListener('abort', abort, { once: true });
    try {
      while (!signal.aborted) {
        if (this.items.length > 0) yield this.items.shift() as T;
        else if (this.over) return;
        else await this.arrival();
      }
    } finally {
      this.over = true;
      signal.removeEventListener('abort', abort);
      for (const item of this.items.splice(0)) this.unread(item);
    }
  }

  private arrival(): Promise<void> {
    return new Promise((resolve) => {
      this.wake = () => {
        this.wake = undefined;
        resolve();
      };
    });
  }
}
