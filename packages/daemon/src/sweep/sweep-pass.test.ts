import { SWEEP_GRACE_MS } from '@podmesh/core';
import { describe, expect, it } from 'vitest';
import { SweepWorld } from './sweep-world.test-kit.ts';

const SEEDS = Array.from({ length: 60 }, (_, seed) => `sweep ${seed}`);

const never = () => ({ life: Number.POSITIVE_INFINITY, kill: new AbortController() });

/** Writers, readers and three sweepers at once; what was removed, and what went wrong. */
async function live(seed: string, change: (world: SweepWorld) => void = () => undefined) {
  const world = new SweepWorld(seed);
  change(world);
  const sweepers = [world.sweeper(12), world.sweeper(12), world.sweeper(12)];
  const others = [world.writer(40), world.writer(40), world.follower(40)];
  await world.play([...sweepers, ...others]);
  const endings = (await Promise.all(sweepers)).flat();
  const removed = endings.reduce((sum, end) => sum + (end.kind === 'swept' ? end.removed : 0), 0);
  return { world, removed };
}

describe('sweeping while everybody goes on', () => {
  it('never takes what is referred to, in any order of their steps', async () => {
    let removedInAll = 0;
    for (const seed of SEEDS) {
      const { world, removed } = await live(seed);
      expect(world.violations, `seed ${seed}`).toEqual([]);
      removedInAll += removed;
    }
    // Otherwise nothing was tried.
    expect(removedInAll).toBeGreaterThan(SEEDS.length);
  });

  it('would take it if puts did not write anew what is condemned', async () => {
    const wrong: string[] = [];
    for (const seed of SEEDS) {
      const { world } = await live(seed, ({ mesh: { artifacts } }) => {
        artifacts.keep = (artifact) => artifacts.has(artifact);
      });
      wrong.push(...world.violations);
    }
    expect(wrong.length).toBeGreaterThan(0);
  });

  it('ends with what is referred to, and nothing else', async () => {
    for (const seed of SEEDS.slice(0, 20)) {
      const { world } = await live(seed);
      for (let pass = 0; pass < 3; pass += 1) {
        await world.clock.advance(SWEEP_GRACE_MS);
        await world.play([world.sweep(never())]);
      }
      const held = new Set([...world.referred.values()].map(({ artifact }) => artifact));
      const files = [...world.mesh.artifacts.values()].filter(({ ref }) => ref.kind === 'dir');
      const below = files.map(({ bytes }) => JSON.parse(Buffer.from(bytes).toString()));
      for (const { entries } of below) for (const { digest } of entries) held.add(digest);
      expect(new Set(world.mesh.artifacts.keys()), seed).toEqual(held);
    }
  });
});

describe('one pass', () => {
  it('is not due before the grace is over, by the server', async () => {
    const world = new SweepWorld('due');
    world.timePasses = false;
    const sweep = async () => {
      const ending = world.sweep(never());
      await world.play([ending]);
      return (await ending).kind;
    };
    expect(await sweep()).toBe('swept');
    await world.clock.advance(SWEEP_GRACE_MS - 1);
    expect(await sweep()).toBe('nothing-to-do');
    await world.clock.advance(1);
    expect(await sweep()).toBe('swept');
  });
});
