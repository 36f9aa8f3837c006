import { DirectProcess, VirtualClock } from '@podmesh/testkit';
import { expect, it } from 'vitest';
import { idleFor } from './idle-for.ts';

function newCase(ms: number) {
  const virtual = new VirtualClock();
  const { clock } = new DirectProcess('p', virtual);
  const state = { isIdle: true, isOver: false };
  const stop = new AbortController();
  const over = idleFor(ms, { isIdle: async () => state.isIdle, clock, signal: stop.signal });
  void over.then(() => {
    state.isOver = true;
  });
  return { virtual, state, stop, over };
}

it('a machine that had nothing to do for long enough may leave', async () => {
  const { virtual, state } = newCase(900_000);
  await virtual.advance(899_000);
  expect(state.isOver).toBe(false);
  await virtual.advance(2_000);
  expect(state.isOver).toBe(true);
});

it('any work in between begins the wait anew, and a signal ends it', async () => {
  const { virtual, state, stop, over } = newCase(60_000);
  await virtual.advance(50_000);
  state.isIdle = false;
  await virtual.advance(3_000);
  state.isIdle = true;
  await virtual.advance(55_000);
  expect(state.isOver).toBe(false);
  stop.abort();
  await virtual.advance(1_000);
  await over;
});
