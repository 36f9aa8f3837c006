import { type Graph, parseGraph } from '@podmesh/core';
import { sha256 } from '@podmesh/daemon';
import type { ContainerPlan, ContainerScript, Random } from '@podmesh/testkit';

/** A small graph of every shape there is: chains, fans, arrays, gathers, order without data. */
export function randomGraph(random: Random): Graph {
  const jobs: Record<string, unknown>[] = [];
  const count = random.between(1, 8);
  const arrays = new Set<number>();
  for (let position = 0; position < count; position += 1) {
    const inputs: Record<string, string> = {};
    const after: string[] = [];
    for (let other = 0; other < position; other += 1) {
      const all = arrays.has(other) && random.chance(0.3);
      if (random.chance(0.3)) inputs[`in${other}`] = `jobs:j${other}/${all ? '*' : 'out'}`;
      else if (random.chance(0.1)) after.push(`j${other}`);
    }
    const many = manyOf(random, position, arrays);
    if (many !== undefined) arrays.add(position);
    jobs.push({
      id: `j${position}`,
      container: `localhost/tool:${random.between(1, 2)}`,
      command: ['work', String(position)],
      inputs,
      after,
      outputs: { out: random.chance(0.8) ? 'file:/out' : 'dir:/out' },
      retries: random.pick([0, 0, 2]) ?? 0,
      cache: random.chance(0.8),
      ...many,
      ...whenOf(random, position, { arrays, inputs, after, many }),
    });
  }
  const graph = parseGraph({ version: 1, jobs }, sha256);
  if (!graph.ok) throw new Error(JSON.stringify(graph.error));
  return graph.value;
}

/** What makes a job an array, if it is one: a number, or the entries or lines that another one leaves. */
function manyOf(
  random: Random,
  position: number,
  arrays: ReadonlySet<number>,
): { readonly count: number; readonly forEach?: never } | { readonly forEach: string } | undefined {
  if (!random.chance(0.4)) return undefined;
  const other = random.between(0, Math.max(0, position - 1));
  if (position === 0 || arrays.has(other) || random.chance(0.5)) {
    return { count: random.between(1, 6) };
  }
  return { forEach: `jobs:j${other}/out` };
}

/** Whether it runs at all, by what another one left or how it exited, where it does not need that one otherwise. */
function whenOf(
  random: Random,
  position: number,
  { arrays, inputs, after, many }: Awaited,
): { readonly when?: object } {
  if (position === 0 || !random.chance(0.15)) return {};
  const other = random.between(0, position - 1);
  if (arrays.has(other)) return {};
  const isAwaited =
    inputs[`in${other}`] !== undefined ||
    after.includes(`j${other}`) ||
    many?.forEach === `jobs:j${other}/out`;
  if (isAwaited) return {};
  const not = random.chance(0.5);
  return { when: { job: `j${other}`, exit: random.pick([0, 1]) ?? 0, not } };
}

interface Awaited {
  readonly arrays: ReadonlySet<number>;
  readonly inputs: Readonly<Record<string, string>>;
  readonly after: readonly string[];
  readonly many: { readonly forEach?: string } | undefined;
}

/** How containers go: mostly well; which ones do not depends on the seed and the task alone. */
export function randomScript(
  random: Random,
  failings: readonly number[] = [0, 0, 0.05],
): ContainerScript {
  const failing = random.pick(failings) ?? 0;
  const seed = random.letters(8);
  const writesAlike = random.chance(0.5);
  return (spec): ContainerPlan => {
    const { task, attempt } = spec.labels;
    const own = random.fork(`${seed}/${task}/${attempt}`);
    if (own.chance(failing / 2)) {
      return { kind: 'start-failed', problem: { kind: 'runtime', message: 'simulated' } };
    }
    const code = own.chance(failing) ? 1 : 0;
    const life = { code, durationMs: own.pick([0, 20, 500, 5_000, 20_000]) ?? 0 };
    if (writesAlike || spec.outputs.out?.kind !== 'file') return { kind: 'runs', ...life };
    // What is done again may leave other bytes.
    const text = `attempt ${attempt} of ${task}`;
    return { kind: 'runs', ...life, outputs: { '/out': { kind: 'file', text } } };
  };
}
