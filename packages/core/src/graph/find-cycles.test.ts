import fc from 'fast-check';
import { expect, test } from 'vitest';
import { findCycles } from './find-cycles.ts';
import type { JobEdges } from './job-edges.ts';

function edgesOf(targets: readonly (readonly number[])[]): JobEdges {
  const start = new Uint32Array(targets.length + 1);
  for (const [position, row] of targets.entries())
    start[position + 1] = (start[position] ?? 0) + row.length;
  const target = Uint32Array.from(targets.flat());
  return { start, target, element: new Int32Array(target.length).fill(-1) };
}

/** All that can be reached, step by step: slow and plain. */
function reachable(targets: readonly (readonly number[])[], from: number): ReadonlySet<number> {
  const found = new Set<number>();
  const pending = [from];
  for (let at = pending.pop(); at !== undefined; at = pending.pop()) {
    for (const next of targets[at] ?? []) {
      if (found.has(next)) continue;
      found.add(next);
      pending.push(next);
    }
  }
  return found;
}

const graphs = fc.integer({ min: 1, max: 12 }).chain((jobs) =>
  fc
    .array(fc.uniqueArray(fc.nat({ max: jobs - 1 }), { maxLength: 4 }), {
      minLength: jobs,
      maxLength: jobs,
    })
    .map((rows) => rows.map((row, position) => row.filter((other) => other !== position))),
);

test('each set of jobs that reach each other gives one real cycle through its first job', () => {
  fc.assert(
    fc.property(graphs, (targets) => {
      const reach = targets.map((_, position) => reachable(targets, position));
      const mutual = (a: number, b: number) => reach[a]?.has(b) && reach[b]?.has(a);
      const firsts = targets
        .map((_, position) => position)
        .filter((position) => reach[position]?.has(position))
        .filter(
          (position) => !targets.slice(0, position).some((_, other) => mutual(position, other)),
        );
      const cycles = findCycles(edgesOf(targets));
      expect(cycles.map(([first]) => first)).toEqual(firsts);
      for (const cycle of cycles) {
        expect(new Set(cycle).size).toBe(cycle.length);
        for (const [step, position] of cycle.entries())
          expect(targets[position]).toContain(cycle[(step + 1) % cycle.length]);
      }
    }),
  );
});

test('no jobs, no cycles', () => {
  expect(findCycles(edgesOf([]))).toEqual([]);
});
