interface Flight<Value> {
  readonly stop: AbortController;
  readonly landed: Promise<Value>;
  waiting: number;
}

/** One piece of work per key at a time; whoever asks meanwhile gets the same answer. */
export class SingleFlight<Key, Value> {
  readonly #flights = new Map<Key, Flight<Value>>();

  /**
   * `signal` ends this wait, with its reason. The work's own signal aborts when nobody waits for it any more; the
   * next who asks begins anew, even while the old work is still ending.
   */
  async run(
    key: Key,
    work: (signal: AbortSignal) => Promise<Value>,
    signal?: AbortSignal,
  ): Promise<Value> {
    signal?.throwIfAborted();
    const flight = this.#flights.get(key) ?? this.#takeOff(key, work);
    flight.waiting += 1;
    try {
      return await unlessAborted(flight.landed, signal);
    } finally {
      flight.waiting -= 1;
      if (flight.waiting === 0) {
        this.#forget(key, flight);
        flight.stop.abort(signal?.reason);
      }
    }
  }

  #takeOff(key: Key, work: (signal: AbortSignal) => Promise<Value>): Flight<Value> {
    const stop = new AbortController();
    const landed = work(stop.signal).finally(() => this.#forget(key, flight));
    // Whoever waits for it meets the failure; they may all have left.
    landed.catch(() => undefined);
    const flight: Flight<Value> = { stop, landed, waiting: 0 };
    this.#flights.set(key, flight);
    return flight;
  }

  /** Another may fly under the same key by now. */
  #forget(key: Key, flight: Flight<Value>): void {
    if (this.#flights.get(key) === flight) this.#flights.delete(key);
  }
}

async function unlessAborted<Value>(landed: Promise<Value>, signal?: AbortSignal): Promise<Value> {
  if (signal === undefined) return await landed;
  return await new Promise<Value>((resolve, reject) => {
    const leave = (): void => reject(signal.reason);
    signal.addEventListener('abort', leave, { once: true });
    landed.then(resolve, reject).finally(() => signal.removeEventListener('abort', leave));
  });
}
