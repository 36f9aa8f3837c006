import { expect, it } from 'vitest';
import { Random } from './random.ts';

const draw = (random: Random) => Array.from({ length: 20 }, () => random.next());

it('repeats itself for one seed, and differs for others', () => {
  expect(draw(new Random('a'))).toEqual(draw(new Random('a')));
  expect(draw(new Random(1))).toEqual(draw(new Random('1')));
  expect(draw(new Random('a'))).not.toEqual(draw(new Random('b')));
});

it('has forks that do not depend on how much it was used', () => {
  const used = new Random('a');
  draw(used);
  expect(draw(used.fork('x'))).toEqual(draw(new Random('a').fork('x')));
  expect(draw(used.fork('x'))).not.toEqual(draw(used.fork('y')));
});

it('stays within its bounds and reaches them evenly', () => {
  const random = new Random('even');
  const counts = new Map<number, number>();
  for (let count = 0; count < 6_000; count += 1) {
    const value = random.between(3, 8);
    counts.set(value, (counts.get(value) ?? 0) + 1);
  }
  expect([...counts.keys()].sort()).toEqual([3, 4, 5, 6, 7, 8]);
  for (const count of counts.values()) expect(Math.abs(count - 1_000)).toBeLessThan(150);
  expect(random.chance(0)).toBe(false);
  expect(random.chance(1)).toBe(true);
  expect(random.pick([])).toBeUndefined();
  expect(random.letters(12)).toMatch(/^[a-z0-9]{12}$/);
});
