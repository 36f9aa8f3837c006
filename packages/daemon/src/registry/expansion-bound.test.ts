import { expect, it } from 'vitest';
import { expansionBound } from './expansion-bound.ts';

const [MIB, GIB] = [2 ** 20, 2 ** 30];
const NO_IMAGE = 'which no image does';

it.each([
  ['a hundred times as large, on a disk with room', 10 * MIB, 100 * GIB, 1_000 * MIB, NO_IMAGE],
  ['64 MiB in any case', 1, 0, 64 * MIB, NO_IMAGE],
  ['32 GiB at most', GIB, 1_000 * GIB, 32 * GIB, NO_IMAGE],
  ['32 GiB at most, also of what is larger', 40 * GIB, 1_000 * GIB, 32 * GIB, NO_IMAGE],
  ['ten times as large where all is taken', GIB, 0, 10 * GIB, 'no room to spare'],
  ['as large as half of what is free', GIB, 30 * GIB, 15 * GIB, 'no room to spare'],
])('%s', (_, bytes, freeBytes, bytesMax, because) => {
  const bound = expansionBound(bytes, freeBytes);
  expect(bound.bytesMax).toBe(bytesMax);
  expect(bound.because).toContain(because);
});
