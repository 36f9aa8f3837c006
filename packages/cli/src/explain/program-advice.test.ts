import { expect, it } from 'vitest';
import { programAdvice } from './program-advice.ts';

it('tells how requirements and a program come to the same kind of machine', () => {
  const advice = programAdvice({ type: 'WrongLayer', message: 'installed elsewhere' }, 'r/t');
  expect(advice.join(' ')).toMatch(/several architectures.*"arch" under "needs".*podmesh get r\/t/);
});
