import { expect, it } from 'vitest';
import { TurnTaking } from './turn-taking.ts';

it('work for one key is done in turn, after a failure too, and for others at once', async () => {
  const turns = new TurnTaking<string>();
  const done: string[] = [];
  let fail: (error: Error) => void = () => undefined;
  const first = turns.run('a', () => new Promise((_, reject) => (fail = reject)));
  const second = turns.run('a', async () => done.push('second'));
  await turns.run('b', async () => done.push('other'));
  expect(done).toEqual(['other']);
  fail(new Error('first failed'));
  await expect(first).rejects.toThrow('first failed');
  await second;
  expect(done).toEqual(['other', 'second']);
});
