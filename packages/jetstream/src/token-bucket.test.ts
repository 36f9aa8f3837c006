import { expect, test } from 'vitest';
import { AskerRates } from './asker-rates.ts';
import { TokenBucket } from './token-bucket.ts';

test('a bucket gives a burst, then its rate, and never saves more than a burst', () => {
  let now = 0;
  const bucket = new TokenBucket({ perSecond: 100, burst: 10, nowMs: () => now });
  expect(bucket.take(10)).toBe(0);
  expect(bucket.take(1)).toBe(10);
  now += 9;
  expect(bucket.take(1)).toBe(1);
  now += 1;
  expect(bucket.take(1)).toBe(0);
  now += 1_000_000;
  expect([bucket.take(10), bucket.take(1)]).toEqual([0, 10]);
});

test('more than a burst counts as one, or it could never be taken', () => {
  let now = 0;
  const bucket = new TokenBucket({ perSecond: 100, burst: 10, nowMs: () => now });
  expect(bucket.take(1_000)).toBe(0);
  expect(bucket.take(1_000)).toBe(100);
  now += 100;
  expect(bucket.take(1_000)).toBe(0);
});

test('who waits for it gets it; an aborted wait ends', async () => {
  const bucket = new TokenBucket({ perSecond: 1_000, burst: 1 });
  for (let taken = 0; taken < 5; taken++) await bucket.wait(1);
  const never = new TokenBucket({ perSecond: 1, burst: 1, nowMs: () => 0 });
  await never.wait(1);
  const end = new AbortController();
  const waiting = never.wait(1, end.signal);
  end.abort();
  await waiting;
});

test('an asker has its own rate, and all of them together have one', () => {
  let now = 0;
  const rates = new AskerRates(() => now);
  const answered = (asker: string): number =>
    Array.from({ length: 200 }, () => rates.allows(asker)).filter(Boolean).length;
  expect([answered('a'), answered('a'), answered('b')]).toEqual([50, 0, 50]);
  now += 500;
  expect([answered('a'), answered('b')]).toEqual([25, 25]);
  const many = Array.from({ length: 3_000 }, (_, at) => rates.allows(`other-${at}`));
  expect(many.filter(Boolean).length).toBeLessThanOrEqual(1_000);
});
