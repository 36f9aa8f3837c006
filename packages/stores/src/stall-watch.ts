/** Aborts when nothing is noted for so long, or when an outer signal does. */
export class StallWatch {
  readonly #stop = new AbortController();
  readonly #ms: number;
  #timer: NodeJS.Timeout;

  constructor(ms: number) {
    this.#ms = ms;
    this.#timer = this.#start();
  }

  get signal(): AbortSignal {
    return this.#stop.signal;
  }

  /** Something moved. */
  note(): void {
    clearTimeout(this.#timer);
    this.#timer = this.#start();
  }

  /** Harmless when called twice. */
  end(): void {
    clearTimeout(this.#timer);
  }

  #start(): NodeJS.Timeout {
    const stall = (): void => this.#stop.abort(new DOMException('stalled', 'TimeoutError'));
    return setTimeout(stall, this.#ms);
  }
}
