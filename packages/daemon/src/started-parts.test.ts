import { DirectProcess, VirtualClock } from '@podmesh/testkit';
import { expect, it } from 'vitest';
import { silent } from './daemon.test-kit.ts';
import { PART_STOP_MS_MAX, StartedParts } from './started-parts.ts';

it('stops the last part first, and all of them whatever one of them does', async () => {
  const stopped: string[] = [];
  const parts = new StartedParts();
  parts.add('one', async () => void stopped.push('one'));
  parts.add('two', async () => {
    stopped.push('two');
    throw new Error('cannot');
  });
  parts.add('three', async () => void stopped.push('three'));
  await parts.stop(silent);
  await parts.stop(silent);
  expect(stopped).toEqual(['three', 'two', 'one']);
});

it('goes on without a part that does not stop in time', async () => {
  const clock = new VirtualClock();
  const stopped: string[] = [];
  const parts = new StartedParts();
  parts.add('one', async () => void stopped.push('one'));
  parts.add('waits for the mesh', () => new Promise(() => undefined));
  const all = parts.stop(silent, new DirectProcess('p', clock).clock);
  await clock.advance(PART_STOP_MS_MAX - 1);
  expect(stopped).toEqual([]);
  await clock.advance(1);
  await all;
  expect(stopped).toEqual(['one']);
});
