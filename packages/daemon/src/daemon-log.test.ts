import { expect, it } from 'vitest';
import { humanLine } from './daemon-log.ts';

const line = (fields: object): string =>
  humanLine(JSON.stringify({ time: Date.UTC(2026, 0, 1, 12, 31, 7), peer: 'me', ...fields }));

it.each([
  [{ level: 30, msg: 'driving', run: 'r1' }, '12:31:07 driving (run=r1)'],
  [
    { level: 40, msg: 'a sweep failed', err: { message: 'away' } },
    '12:31:07 warning: a sweep failed: away',
  ],
  [
    { level: 50, msg: 'broke', err: { message: 'why' }, run: 'r', task: 't' },
    '12:31:07 ERROR broke: why (run=r task=t)',
  ],
  [{ level: 30, msg: 'odd', err: null }, '12:31:07 odd'],
])('%j is told in one line', (fields, expected) => {
  expect(line(fields)).toBe(expected);
});
