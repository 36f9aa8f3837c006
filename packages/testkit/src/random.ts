/**
 * Seeded random numbers (sfc32, seeded by FNV-style hashing of text). Forks by name are independent
 * of each other and of how much their parent was used, so that a new consumer of randomness does
 * not change what the old ones see.
 */
export class Random {
  readonly seed: string;
  private a: number;
  private b: number;
  private c: number;
  private d: number;

  constructor(seed: string | number) {
    this.seed = String(seed);
    this.a = hash(this.seed, 0x9e3779b9);
    this.b = hash(this.seed, 0x243f6a88);
    this.c = hash(this.seed, 0xb7e15162);
    this.d = 1;
    for (let round = 0; round < 12; round += 1) this.next();
  }

  fork(name: string): Random {
    return new Random(`${this.seed}/${name}`);
  }

  /** From 0 (included) to 1 (excluded). */
  next(): number {
    const sum = (((this.a + this.b) | 0) + this.d) | 0;
    this.d = (this.d + 1) | 0;
    this.a = this.b ^ (this.b >>> 9);
    this.b = (this.c + (this.c << 3)) | 0;
    this.c = ((this.c << 21) | (this.c >>> 11)) + sum;
    this.c |= 0;
    return (sum >>> 0) / 4_294_967_296;
  }

  /** A whole number from `low` to `high`, both included. */
  between(low: number, high: number): number {
    return low + Math.floor(this.next() * (high - low + 1));
  }

  /** True with the given probability; 0 uses up no randomness. */
  chance(probability: number): boolean {
    return probability > 0 && this.next() < probability;
  }

  /** One of the items; `undefined` only for an empty list. */
  pick<T>(items: readonly T[]): T | undefined {
    return items[Math.floor(this.next() * items.length)];
  }

  /** `length` lower-case letters and digits: the shape of a run id. */
  letters(length: number): string {
    let text = '';
    for (let count = 0; count < length; count += 1) text += ALPHABET[this.between(0, 35)];
    return text;
  }
}

const ALPHABET = '0123456789abcdefghijklmnopqrstuvwxyz';

function hash(text: string, salt: number): number {
  let value = salt ^ text.length;
  for (let index = 0; index < text.length; index += 1) {
    value = Math.imul(value ^ text.charCodeAt(index), 0x01000193);
    value ^= value >>> 15;
  }
  value = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
  return value ^ (value >>> 13);
}
