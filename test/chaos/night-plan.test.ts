import { describe, expect, it } from 'vitest';
import { nightPlan, planText } from './night-plan.ts';

const cast = { laptop: 'laptop', anchors: ['ann', 'bob', 'cid'], desk: 'desk' };
const length = { laptopCutSeconds: 20, partitionSeconds: 60, moreBlows: 4 };
const seeds = Array.from({ length: 200 }, (_, seed) => String(seed));

describe('the plan of a night', () => {
  it('is the same for the same seed, and another for another', () => {
    const plans = new Set(seeds.map((seed) => JSON.stringify(nightPlan(seed, cast, length))));
    expect(plans.size).toBe(seeds.length);
    for (const seed of seeds)
      expect(plans).toContain(JSON.stringify(nightPlan(seed, cast, length)));
  });

  it.each(seeds)(
    'cuts the laptop off for good, and hits each anchor in another way: %s',
    (seed) => {
      const { anchors, others } = nightPlan(seed, cast, length);
      const [laptop, disk] = others;
      expect(laptop).toMatchObject({ kind: 'cut', machine: 'laptop', afterSeconds: 20 });
      expect(laptop?.seconds).toBeUndefined();
      expect(disk).toMatchObject({ kind: 'fill-disk', machine: 'desk' });
      const first = anchors.slice(0, 3);
      expect(first.map(({ kind }) => kind).sort()).toEqual(['cut', 'kill', 'power-loss']);
      expect(first.map(({ machine }) => machine).sort()).toEqual(cast.anchors);
      expect(first.find(({ kind }) => kind === 'cut')?.seconds).toBe(60);
      expect(anchors.length + others.length).toBe(5 + length.moreBlows);
      const shares = anchors.map(({ afterShare }) => afterShare);
      expect(shares).toEqual([...shares].sort((a, b) => a - b));
      for (const { seconds, afterShare } of [...anchors, ...others.slice(1)]) {
        expect(seconds).toBeGreaterThan(0);
        expect(afterShare).toBeLessThanOrEqual(0.6);
      }
    },
  );

  it('is told in a line for each blow', () => {
    const text = planText(nightPlan('1', cast, length));
    expect(text.split('\n')).toHaveLength(5 + length.moreBlows);
    expect(text).toContain('after 20 s and 0% of the tasks: cut laptop for good');
  });
});
