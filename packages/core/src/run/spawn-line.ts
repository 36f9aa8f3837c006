import type { Usage } from './run-event.ts';
import type { RunState } from './run-state.ts';
import type { Spawns } from './spawns.ts';

/** The task, the one that spawned it, and so on up to one of the document. */
export function* lineOf(state: RunState, task: number): Iterable<number> {
  let above: number | undefined = task;
  while (above !== undefined) {
    yield above;
    above = state.parents.get(state.index.jobOf(above));
  }
}

/** What the task spawned, to be changed in place. */
export function spawnsOf(state: RunState, parent: number): Spawns {
  const known = state.spawns.get(parent);
  if (known !== undefined) return known;
  const spawns: Spawns = {
    sequence: 0,
    refusal: undefined,
    byKey: new Map(),
    tasks: 0,
    cpuMs: 0,
  };
  state.spawns.set(parent, spawns);
  return spawns;
}

/** An attempt of a sub-task used up some of what those above it may spend. */
export function chargeCpu(state: RunState, task: number, usage: Usage | undefined): void {
  if (usage?.cpuMs === undefined) return;
  const parent = state.parents.get(state.index.jobOf(task));
  if (parent === undefined) return;
  for (const above of lineOf(state, parent)) spawnsOf(state, above).cpuMs += usage.cpuMs;
}
