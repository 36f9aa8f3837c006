import { CALM } from '@podmesh/testkit';
import { describe, expect, it } from 'vitest';
import { simulate } from './simulate.ts';

const SEEDS = Number(process.env.PODMESH_SIM_SEEDS ?? 12);
const ONE = process.env.PODMESH_SIM_SEED;
const seeds = ONE === undefined ? Array.from({ length: SEEDS }, (_, n) => `sleep ${n + 1}`) : [ONE];

/** Each seed twice; it says how to replay the first that fails. */
async function replay(seed: string, options: Partial<Parameters<typeof simulate>[0]>) {
  const first = await simulate({ seed, sleeps: 6, ...options });
  const again = await simulate({ seed, sleeps: 6, ...options });
  const hint = `PODMESH_SIM_SEED='${seed}' vitest run … test/simulation/sleeps.test.ts`;
  const told = first.violations.length > 0 ? first.trace.slice(-30) : [];
  expect({ hint, violations: first.violations, told }).toEqual({ hint, violations: [], told: [] });
  expect(again.log === first.log, `${hint}: two logs from one seed`).toBe(true);
  return first;
}

describe('machines that fall asleep at any time, all but one', () => {
  it('in a calm world are woken for work that waits, one call at a time, and never against their owners', async () => {
    let woken = 0;
    for (const seed of seeds) woken += (await replay(seed, { plan: CALM, chaos: 0 })).woken;
    if (ONE === undefined) expect(woken).toBeGreaterThan(SEEDS / 10);
  }, 300_000);

  it('in storms lose nothing: every run ends, and nobody is woken against the owner', async () => {
    let woken = 0;
    for (const seed of seeds) woken += (await replay(seed, {})).woken;
    if (ONE === undefined) expect(woken).toBeGreaterThan(SEEDS / 20);
  }, 300_000);
});
