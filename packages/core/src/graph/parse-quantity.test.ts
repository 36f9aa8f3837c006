import { expect, test } from 'vitest';
import { bytesOf, millisecondsOf } from './parse-quantity.ts';

test.each([
  [512, 512],
  [0.5, 1],
  ['512', 512],
  ['512B', 512],
  ['512MiB', 512 * 2 ** 20],
  ['512m', 512 * 2 ** 20],
  ['2G', 2 * 2 ** 30],
  ['2 GB', 2 * 2 ** 30],
  ['1.5Ki', 1_536],
  ['1T', 2 ** 40],
])('%s bytes', (quantity, bytes) => {
  expect(bytesOf(quantity)).toBe(bytes);
});

test.each([
  [1.5, 1_500],
  ['90', 90_000],
  ['90s', 90_000],
  ['10m', 600_000],
  ['2h', 7_200_000],
  ['1 d', 86_400_000],
])('a duration of %s', (duration, milliseconds) => {
  expect(millisecondsOf(duration)).toBe(milliseconds);
});
