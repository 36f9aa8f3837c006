/** Pieces of work for the same key follow each other; those for others do not wait. */
export class TurnTaking<Key> {
  readonly #last = new Map<Key, Promise<unknown>>();

  async run<Value>(key: Key, work: () => Promise<Value>): Promise<Value> {
    const turn = (this.#last.get(key) ?? Promise.resolve()).then(work);
    // A failure is its own caller's; the next has its turn all the same.
    const ended = turn.catch(() => undefined);
    this.#last.set(key, ended);
    try {
      return await turn;
    } finally {
      if (this.#last.get(key) === ended) this.#last.delete(key);
    }
  }
}
