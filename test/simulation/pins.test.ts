import { CALM } from '@podmesh/testkit';
import { describe, expect, it } from 'vitest';
import { SimWeb } from './sim-web.ts';
import { simulate } from './simulate.ts';

const SEEDS = Array.from({ length: 40 }, (_, n) => `web ${n + 1}`);

describe('places outside of the mesh that never answer twice alike', () => {
  it('are read as often as there are pins, in a calm world of one peer', async () => {
    const web = new SimWeb();
    const { violations, log } = await simulate({ seed: 'v', peers: 1, plan: CALM, chaos: 0, web });
    expect(violations).toEqual([]);
    // What a cancelled attempt has read is pinned by nobody: another seed would have to be taken.
    expect(log).not.toContain('run-cancel-requested');
    expect(log.match(/"input-pinned"/g)).toHaveLength(web.answers);
    expect(web.answers).toBeGreaterThan(0);
  });

  it('mean the same to all tasks of a run, whatever dies and is repeated', async () => {
    let answers = 0;
    for (const seed of SEEDS) {
      const web = new SimWeb();
      const first = await simulate({ seed, web });
      expect(first.violations, seed).toEqual([]);
      expect((await simulate({ seed, web: new SimWeb() })).log === first.log, seed).toBe(true);
      answers += web.answers;
    }
    // Several peers did begin at the same time, and lost.
    expect(answers).toBeGreaterThan(2 * SEEDS.length);
  }, 120_000);
});
