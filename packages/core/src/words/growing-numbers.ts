import { assert } from './unreachable.ts';

/** Whole numbers from 0 to 2^32 - 1 in a row that grows at its end, four bytes each; adding is amortised O(1). */
export class GrowingNumbers {
  #numbers: Uint32Array;
  #length = 0;

  constructor(room: number) {
    this.#numbers = new Uint32Array(Math.max(room, 16));
  }

  get length(): number {
    return this.#length;
  }

  /** Undefined behind the end. */
  at(position: number): number | undefined {
    return position < this.#length ? this.#numbers[position] : undefined;
  }

  set(position: number, value: number): void {
    assert(position < this.#length, `number ${position} is one of ${this.#length}`);
    this.#numbers[position] = value;
  }

  add(value: number, times = 1): void {
    const end = this.#length + times;
    if (end > this.#numbers.length) {
      const larger = new Uint32Array(Math.max(end, this.#numbers.length * 2));
      larger.set(this.#numbers);
      this.#numbers = larger;
    }
    this.#numbers.fill(value, this.#length, end);
    this.#length = end;
  }
}
