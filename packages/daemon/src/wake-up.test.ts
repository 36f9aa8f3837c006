import { expect, it } from 'vitest';
import { WakeUp } from './wake-up.ts';

const never = new AbortController().signal;

/** How a wait stands after everything that follows at once. */
async function stateOf(wait: Promise<void>): Promise<'woken' | 'waiting'> {
  let state: 'woken' | 'waiting' = 'waiting';
  void wait.then(() => {
    state = 'woken';
  });
  await new Promise((resolve) => setImmediate(resolve));
  return state;
}

it('a ring wakes everyone who waits', async () => {
  const wake = new WakeUp();
  const waits = [wake.next(never), wake.next(never)];
  wake.ring();
  await Promise.all(waits);
});

it('a ring that nobody heard wakes the next one to wait, once', async () => {
  const wake = new WakeUp();
  wake.ring();
  wake.ring();
  await wake.next(never);
  expect(await stateOf(wake.next(never))).toBe('waiting');
});

it('an abort ends the wait, before and after it began', async () => {
  const wake = new WakeUp();
  const stop = new AbortController();
  const wait = wake.next(stop.signal);
  stop.abort();
  await wait;
  await wake.next(stop.signal);
  expect(await stateOf(wake.next(never))).toBe('waiting');
});
