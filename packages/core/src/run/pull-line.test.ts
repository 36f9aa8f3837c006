import { expect, it } from 'vitest';
import { pullLine, readPullLine } from './pull-line.ts';

it('marks what a peer says, and knows it again', () => {
  const line = pullLine('pulling localhost/tool:1: 3 of 4 MiB');
  expect(line).toBe('podmesh: pulling localhost/tool:1: 3 of 4 MiB\n');
  expect(readPullLine(line)).toBe('podmesh: pulling localhost/tool:1: 3 of 4 MiB');
  expect(readPullLine('what a task wrote\n')).toBeUndefined();
});
