import { DirectProcess, VirtualClock } from '@podmesh/testkit';
import { expect, it } from 'vitest';
import { AWAY_MS_MAX, untilAway } from './until-away.ts';

function newCase() {
  const clock = new VirtualClock();
  const stop = new AbortController();
  const seen = { isAway: true, isOver: false };
  const waiting = untilAway(
    () => seen.isAway,
    new DirectProcess('p', clock).clock,
    stop.signal,
  ).then(() => {
    seen.isOver = true;
  });
  return { clock, stop, seen, waiting };
}

it('waits for a mesh that is away, and no longer', async () => {
  const { clock, seen, waiting } = newCase();
  await clock.advance(AWAY_MS_MAX - 1);
  expect(seen.isOver).toBe(false);
  await clock.advance(1);
  await waiting;
});

it('begins anew when the mesh came back', async () => {
  const { clock, seen, waiting } = newCase();
  await clock.advance(AWAY_MS_MAX - 2_000);
  seen.isAway = false;
  await clock.advance(1_000);
  seen.isAway = true;
  await clock.advance(AWAY_MS_MAX - 1);
  expect(seen.isOver).toBe(false);
  await clock.advance(1);
  await waiting;
});

it('ends with its signal', async () => {
  const { stop, waiting } = newCase();
  stop.abort();
  await waiting;
});
