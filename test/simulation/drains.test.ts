import { CALM } from '@podmesh/testkit';
import { describe, expect, it } from 'vitest';
import { simulate } from './simulate.ts';

const SEEDS = Number(process.env.PODMESH_SIM_SEEDS ?? 200);
const ONE = process.env.PODMESH_SIM_SEED;
const seeds = ONE === undefined ? Array.from({ length: SEEDS }, (_, n) => `drain ${n + 1}`) : [ONE];

/** Each seed twice; it says how to replay the first that fails. */
async function replay(seed: string, options: Partial<Parameters<typeof simulate>[0]>) {
  const first = await simulate({ seed, ...options });
  const again = await simulate({ seed, ...options });
  const hint = `PODMESH_SIM_SEED='${seed}' vitest run … test/simulation/drains.test.ts`;
  const told = first.violations.length > 0 ? first.trace.slice(-30) : [];
  expect({ hint, violations: first.violations, told }).toEqual({ hint, violations: [], told: [] });
  expect(again.log === first.log, `${hint}: two logs from one seed`).toBe(true);
  return first;
}

describe('peers that are drained at any time', () => {
  it('in a calm world begin nothing, and lose nothing when they vanish then', async () => {
    let [givenBack, vanished] = [0, 0];
    for (const seed of seeds) {
      const { log, trace } = await replay(seed, { plan: CALM, chaos: 0, drains: 4, vanish: true });
      givenBack += log.match(/"kind":"drained"/g)?.length ?? 0;
      vanished += trace.filter((line) => line.includes(' vanish: ')).length;
    }
    if (ONE !== undefined) return;
    expect(givenBack).toBeGreaterThan(SEEDS / 10);
    expect(vanished).toBeGreaterThan(SEEDS / 10);
  }, 300_000);

  it('in storms charge nobody, and every run ends, nothing published twice', async () => {
    let givenBack = 0;
    for (const seed of seeds) {
      const { log } = await replay(seed, { drains: 8 });
      givenBack += log.match(/"kind":"drained"/g)?.length ?? 0;
    }
    if (ONE === undefined) expect(givenBack).toBeGreaterThan(SEEDS / 10);
  }, 300_000);
});
