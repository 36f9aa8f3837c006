/**
 * Aborts when so many bytes did not move within so long: a source that drips would otherwise hold whoever waits for ever.
 * Time in which nobody waits for the store does not count.
 */
export class StallWatch {
  readonly #stop = new AbortController();
  readonly #ms: number;
  readonly #bytesMin: number;
  #moved = 0;
  #leftMs: number;
  #since = 0;
  #timer: NodeJS.Timeout | undefined;

  /** `bytesMin`: fewer than these within `ms` are none. */
  constructor(ms: number, bytesMin = 1) {
    this.#ms = ms;
    this.#bytesMin = bytesMin;
    this.#leftMs = ms;
    this.resume();
  }

  get signal(): AbortSignal {
    return this.#stop.signal;
  }

  /** So much moved. */
  note(bytes: number): void {
    this.#moved += bytes;
    if (this.#moved < this.#bytesMin) return;
    this.#moved = 0;
    this.#leftMs = this.#ms;
    if (this.#timer !== undefined) this.#start();
  }

  /** Until `resume` it is not the store that is waited for. */
  pause(): void {
    if (this.#timer === undefined) return;
    this.#leftMs -= performance.now() - this.#since;
    this.end();
  }

  resume(): void {
    if (this.#timer === undefined) this.#start();
  }

  /** Harmless when called twice. */
  end(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #start(): void {
    clearTimeout(this.#timer);
    this.#since = performance.now();
    const stall = (): void => this.#stop.abort(new DOMException('stalled', 'TimeoutError'));
    this.#timer = setTimeout(stall, Math.max(1, this.#leftMs));
  }
}
