import { type Graph, parseGraph } from '@podmesh/core';
import { sha256 } from '@podmesh/daemon';
import type { ContainerPlan, ContainerScript, Random } from '@podmesh/testkit';

/** A small graph of every shape there is: chains, fans, arrays, gathers, order without data. */
export function randomGraph(random: Random): Graph {
  const jobs: Record<string, unknown>[] = [];
  const count = random.between(1, 8);
  for (let position = 0; position < count; position += 1) {
    const inputs: Record<string, string> = {};
    const after: string[] = [];
    for (let other = 0; other < position; other += 1) {
      if (random.chance(0.3)) inputs[`in${other}`] = `jobs:j${other}/out`;
      else if (random.chance(0.1)) after.push(`j${other}`);
    }
    jobs.push({
      id: `j${position}`,
      container: `localhost/tool:${random.between(1, 2)}`,
      command: ['work', String(position)],
      inputs,
      after,
      outputs: { out: random.chance(0.8) ? 'file:/out' : 'dir:/out' },
      retries: random.pick([0, 0, 2]) ?? 0,
      cache: random.chance(0.8),
      ...(random.chance(0.3) ? { count: random.between(1, 6) } : {}),
    });
  }
  const graph = parseGraph({ version: 1, jobs }, sha256);
  if (!graph.ok) throw new Error(JSON.stringify(graph.error));
  return graph.value;
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
