import { expect, test } from 'vitest';
import { didYouMean, nearestName } from './nearest-name.ts';

test.each([
  ['comand', ['container', 'command', 'count'], 'command'],
  ['Count', ['counts', 'count'], 'count'],
  ['ab', ['ac', 'ad'], 'ac'],
  ['jobs', ['entirely', 'different'], undefined],
  ['x', [], undefined],
  ['', ['a'], undefined],
])('%s among %j', (name, candidates, nearest) => {
  expect(nearestName(name, candidates)).toBe(nearest);
});

test('nothing is said when nothing is near', () => {
  expect(didYouMean('split', ['gather'])).toBe('');
  expect(didYouMean('splt', ['gather', 'split'])).toBe('Did you mean "split"? ');
});
