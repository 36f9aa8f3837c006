import type { Sequence } from '../ports.ts';

/** Ascending numbers as their distances, seven bits a byte: the entries of a store are a few numbers apart. */
export function packSequences(sequences: readonly Sequence[]): Uint8Array {
  const bytes: number[] = [];
  let last = 0;
  for (const sequence of sequences) {
    let rest = sequence - last;
    last = sequence;
    for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) + 128);
    bytes.push(rest);
  }
  return Uint8Array.from(bytes);
}

/** What {@link packSequences} made; undefined for what it did not. */
export function unpackSequences(bytes: Uint8Array): readonly Sequence[] | undefined {
  const sequences: Sequence[] = [];
  let [last, distance, factor] = [0, 0, 1];
  for (const byte of bytes) {
    distance += (byte % 128) * factor;
    factor *= 128;
    if (byte >= 128) continue;
    last += distance;
    if (distance === 0 || !Number.isSafeInteger(last)) return undefined;
    sequences.push(last);
    [distance, factor] = [0, 1];
  }
  return factor === 1 ? sequences : undefined;
}
