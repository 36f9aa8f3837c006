import { setImmediate } from 'node:timers/promises';
import { DirectProcess, FakeMesh, VirtualClock } from '@podmesh/testkit';
import { expect, it } from 'vitest';
import { silent } from '../daemon.test-kit.ts';
import { MeshSweep } from './mesh-sweep.ts';

it('looks for as long as it may remove anything, and never again', async () => {
  const clock = new VirtualClock();
  const ports = new FakeMesh(clock).portsFor(new DirectProcess('sweeper', clock));
  let [looks, slept, isKeeper] = [0, 0, true];
  const sweep = new MeshSweep({
    // Nothing is due: nobody asks them.
    ...{ references: undefined as never, retention: undefined as never, objects: ports.artifacts },
    shelf: {
      ...ports.shelf,
      look: async () => {
        looks += 1;
        // As an anchor that is retired meanwhile.
        if (looks === 3) isKeeper = false;
        throw new Error('nobody answers');
      },
    },
    clock: {
      nowMs: () => 0,
      sleep: async () => {
        slept += 1;
        await setImmediate();
      },
    },
    ...{ logger: silent, random: () => 0, held: () => [], mayRemove: () => isKeeper },
  });
  sweep.start();
  await expect.poll(() => slept).toBe(4);
  await sweep.stop();
  expect([looks, slept]).toEqual([3, 4]);
});
