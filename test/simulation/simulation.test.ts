import { CALM } from '@podmesh/testkit';
import { describe, expect, it } from 'vitest';
import { simulate } from './simulate.ts';

/** `PODMESH_SIM_SEEDS=5000 PODMESH_SIM_FIRST=1` look further; `PODMESH_SIM_SEED=s` replays one. */
const SEEDS = Number(process.env.PODMESH_SIM_SEEDS ?? 1_000);
const FIRST = Number(process.env.PODMESH_SIM_FIRST ?? 1);
const ONE = process.env.PODMESH_SIM_SEED;
const CHUNK = 50;

const seeds = ONE === undefined ? Array.from({ length: SEEDS }, (_, n) => `${FIRST + n}`) : [ONE];
const chunks = Array.from({ length: Math.ceil(seeds.length / CHUNK) }, (_, n) =>
  seeds.slice(n * CHUNK, (n + 1) * CHUNK),
);

describe('the simulator', () => {
  it('ends a run in a calm world', async () => {
    const { violations } = await simulate({ seed: 'calm', plan: CALM, chaos: 0 });
    expect(violations).toEqual([]);
  });

  it.each(chunks.map((chunk) => [`${chunk[0]}–${chunk.at(-1)}`, chunk] as const))(
    'keeps every promise in the storms of seeds %s, twice alike',
    async (_, chunk) => {
      for (const seed of chunk) await replay(seed);
    },
    300_000,
  );
});

async function replay(seed: string): Promise<void> {
  const hint = `replay: PODMESH_SIM_SEED=${seed} npx vitest run -c .vitest.config.ts test/simulation`;
  const first = await simulate({ seed });
  const tail = first.trace.slice(-40).join('\n');
  expect(first.violations, `${hint}\n${ONE === undefined ? '' : tail}`).toEqual([]);
  const second = await simulate({ seed });
  expect(second.log === first.log, `two runs of the same seed differ; ${hint}`).toBe(true);
}
