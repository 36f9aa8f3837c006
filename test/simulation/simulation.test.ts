import { CALM } from '@podmesh/testkit';
import { describe, expect, it } from 'vitest';
import { type Simulation, simulate } from './simulate.ts';

/** `PODMESH_SIM_SEEDS=5000 PODMESH_SIM_FIRST=1` look further; `PODMESH_SIM_SEED=s` replays one. */
const SEEDS = Number(process.env.PODMESH_SIM_SEEDS ?? 1_000);
const FIRST = Number(process.env.PODMESH_SIM_FIRST ?? 1);
const ONE = process.env.PODMESH_SIM_SEED;
const LOSSY_SEEDS = Number(process.env.PODMESH_SIM_SEEDS ?? 200);
const CHUNK = 50;

const seeds = ONE === undefined ? Array.from({ length: SEEDS }, (_, n) => `${FIRST + n}`) : [ONE];
const chunksOf = (all: readonly string[]) =>
  Array.from({ length: Math.ceil(all.length / CHUNK) }, (_, n) => {
    const chunk = all.slice(n * CHUNK, (n + 1) * CHUNK);
    return [`${chunk[0]}–${chunk.at(-1)}`, chunk] as const;
  });

describe('the simulator', () => {
  it('ends a run in a calm world', async () => {
    const { violations } = await simulate({ seed: 'calm', plan: CALM, chaos: 0 });
    expect(violations).toEqual([]);
  });

  it.each(chunksOf(seeds))(
    'keeps every promise in the storms of seeds %s, twice alike',
    async (_, chunk) => {
      for (const seed of chunk) await replay(seed);
    },
    300_000,
  );

  it.each(chunksOf(seeds.slice(0, LOSSY_SEEDS)))(
    'ends every run of seeds %s although bytes are lost again and again, twice alike',
    async (_, chunk) => {
      const [reruns, copied] = [[0], [0]];
      for (const seed of chunk) {
        const simulation = await replay(seed, LOSSES);
        reruns.push(simulation.reruns);
        copied.push(simulation.copied);
      }
      if (chunk.length < CHUNK) return;
      expect(sumOf(reruns)).toBeGreaterThan(0);
      expect(sumOf(copied)).toBeGreaterThan(0);
    },
    300_000,
  );
});

/** Of them, about half are losses, the others second drivers of runs. */
const LOSSES = 24;

const sumOf = (counts: readonly number[]): number => counts.reduce((sum, count) => sum + count, 0);

async function replay(seed: string, losses?: number): Promise<Simulation> {
  const options = losses === undefined ? { seed } : { seed, losses };
  const hint = `replay: PODMESH_SIM_SEED=${seed} npx vitest run -c .vitest.config.ts test/simulation`;
  const first = await simulate(options);
  const tail = first.trace.slice(-40).join('\n');
  expect(first.violations, `${hint}\n${ONE === undefined ? '' : tail}`).toEqual([]);
  const second = await simulate(options);
  expect(second.log === first.log, `two runs of the same seed differ; ${hint}`).toBe(true);
  return first;
}
