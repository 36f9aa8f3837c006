import { CrunFailedError } from './crun-errors.ts';

/** What a container needs and is made ahead, many at a time, because making one by one costs more than the container. */
export class Stock<Item> {
  readonly #make: () => Promise<readonly Item[]>;
  readonly #low: number;
  readonly #items: Item[] = [];
  #filling: Promise<void> | undefined;
  #isStopped = false;

  /** Below `low` items more are made. */
  constructor(make: () => Promise<readonly Item[]>, low: number) {
    this.#make = make;
    this.#low = low;
  }

  get size(): number {
    return this.#items.length;
  }

  /** Makes the first ones; throws what making throws. */
  async start(): Promise<void> {
    await this.#fill();
  }

  async take(count: number): Promise<readonly Item[]> {
    // Checked and taken in one turn: others wait for the same stock.
    while (this.#items.length < count) await this.#fill();
    const taken = this.#items.splice(0, count);
    // Whoever needs one that could not be made asks again, and is told.
    const isLow = this.#items.length < this.#low;
    if (isLow && !this.#isStopped) this.#fill().catch(() => undefined);
    return taken;
  }

  /** One that is as good as new; all others are taken before it is again. */
  give(item: Item): void {
    this.#items.push(item);
  }

  /** Nothing is made any more after it: whoever deletes what is there will not be overtaken. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#filling?.catch(() => undefined);
  }

  #fill(): Promise<void> {
    if (this.#isStopped) throw new CrunFailedError('make what it needs', 'the lane was closed');
    this.#filling ??= this.#make()
      .then((items) => void this.#items.push(...items))
      .finally(() => {
        this.#filling = undefined;
      });
    return this.#filling;
  }
}
