import {
  lineOf,
  type RunState,
  SPAWN_CPU_SECONDS_DEFAULT,
  SPAWN_DEPTH_DEFAULT,
  SPAWN_TASKS_DEFAULT,
} from '@podmesh/core';

/** What a task may still spawn: of its own budget and of those of all above it, whatever is least. */
export interface SpawnLeft {
  /** Levels below it. */
  readonly depth: number;
  readonly tasks: number;
  readonly cpuSeconds: number;
}

export function spawnLeft(state: RunState, task: number): SpawnLeft {
  let level = 0;
  let [depth, tasks, cpuSeconds] = [Infinity, Infinity, Infinity];
  for (const above of lineOf(state, task)) {
    const budget = state.index.jobs[state.index.jobOf(above)]?.spawn ?? {};
    const spent = state.spawns.get(above);
    depth = Math.min(depth, (budget.depth ?? SPAWN_DEPTH_DEFAULT) - level);
    tasks = Math.min(tasks, (budget.tasks ?? SPAWN_TASKS_DEFAULT) - (spent?.tasks ?? 0));
    const cpuMost = budget.cpuSeconds ?? SPAWN_CPU_SECONDS_DEFAULT;
    const used = state.spent.has(above) ? cpuMost : (spent?.cpuMs ?? 0) / 1_000;
    cpuSeconds = Math.min(cpuSeconds, cpuMost - used);
    level += 1;
  }
  return {
    depth: Math.max(0, depth),
    tasks: Math.max(0, tasks),
    cpuSeconds: Math.max(0, Math.floor(cpuSeconds)),
  };
}
