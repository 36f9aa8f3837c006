import { expect, it } from 'vitest';
import { SingleFlight } from './single-flight.ts';

it('ends the work when the last who waits for it has left, and begins anew for the next', async () => {
  const flights = new SingleFlight<string, number>();
  const works: AbortSignal[] = [];
  const hang = (signal: AbortSignal) => {
    works.push(signal);
    return new Promise<number>(() => undefined);
  };
  const [one, two] = [new AbortController(), new AbortController()];
  const first = flights.run('key', hang, one.signal);
  const second = flights.run('key', hang, two.signal);
  one.abort('one');
  await expect(first).rejects.toBe('one');
  expect(works.map(({ aborted }) => aborted)).toEqual([false]);
  two.abort('two');
  await expect(second).rejects.toBe('two');
  expect(works.map(({ aborted }) => aborted)).toEqual([true]);
  expect(await flights.run('key', async () => 7)).toBe(7);
  await expect(flights.run('key', async () => 8, one.signal)).rejects.toBe('one');
});

it('gives all who wait the same answer, once', async () => {
  const flights = new SingleFlight<string, number>();
  let times = 0;
  const work = async () => ++times;
  expect(await Promise.all([flights.run('key', work), flights.run('key', work)])).toEqual([1, 1]);
  expect(await flights.run('key', work)).toBe(2);
});
