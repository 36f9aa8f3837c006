import { expect, it } from 'vitest';
import { COMMAND_NAMES } from './command-table.ts';
import { nearestWord } from './nearest-word.ts';

it.each([
  ['lgos', 'logs'],
  ['exlpain', 'explain'],
  ['cancle', 'cancel'],
  ['PS', 'ps'],
  ['doc', 'doctor'],
  ['compl', 'completion'],
  ['xyzzy', undefined],
  ['q', undefined],
])('%s: %s', (typed, meant) => {
  expect(nearestWord(typed, COMMAND_NAMES)).toBe(meant);
});
