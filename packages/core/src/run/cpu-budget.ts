import type { ClaimId } from '../words/ids.ts';
import type { RunState } from './run-state.ts';
import { lineOf } from './spawn-line.ts';

/** CPU milliseconds that an attempt at work has used so far, as far as its peer told. */
export type CpuAtWork = (claim: ClaimId) => number | undefined;

/** The task above this one whose budget of CPU time is used up, its own not among them; undefined while there is none. */
export function spentAbove(state: RunState, task: number): number | undefined {
  if (state.spent.size === 0) return undefined;
  for (const above of lineOf(state, task)) {
    if (above !== task && state.spent.has(above)) return above;
  }
  return undefined;
}

/** For people: whose budget it was, and what to do. */
export function spentText(state: RunState, owner: number): string {
  const most = cpuSecondsOf(state, owner);
  const used = Math.floor((state.spent.get(owner) ?? 0) / 1_000);
  return (
    `the budget "cpuSeconds" of ${state.index.idOf(owner)} is ${most}, and its sub-tasks have used ${used}; ` +
    'raise it at that job\'s "spawn", or spawn less'
  );
}

/** Whether any task that spawned something has a budget of CPU time: most runs have nothing to look after. */
export function hasCpuBudget(state: RunState): boolean {
  for (const owner of state.spawns.keys())
    if (cpuSecondsOf(state, owner) !== undefined) return true;
  return false;
}

/**
 * The tasks whose budget of CPU time is used up although nobody has told the log, each with what was used: by attempts
 * that have ended, and by those at work. Only of budgets that a document names.
 */
export function overspent(
  state: RunState,
  atWork: CpuAtWork,
): readonly { readonly task: number; readonly cpuMs: number }[] {
  if (state.ended !== undefined || state.cancelRequested || !hasCpuBudget(state)) return [];
  const used = new Map<number, number>();
  for (const [owner, { cpuMs }] of state.spawns) {
    if (cpuSecondsOf(state, owner) !== undefined && !state.spent.has(owner)) used.set(owner, cpuMs);
  }
  for (const task of state.running) {
    const now = state.tasks[task];
    const cpuMs = now?.kind === 'running' ? (atWork(now.claim) ?? 0) : 0;
    for (const above of cpuMs === 0 ? [] : lineOf(state, task)) {
      const before = above === task ? undefined : used.get(above);
      if (before !== undefined) used.set(above, before + cpuMs);
    }
  }
  return [...used].flatMap(([task, cpuMs]) =>
    cpuMs >= (cpuSecondsOf(state, task) ?? 0) * 1_000 ? [{ task, cpuMs }] : [],
  );
}

/** What is left for one more attempt of the task, of the tightest budget above it; undefined where no document names one. */
export function cpuLeftMs(state: RunState, task: number): number | undefined {
  let left: number | undefined;
  for (const above of lineOf(state, task)) {
    const most = above === task ? undefined : cpuSecondsOf(state, above);
    if (most === undefined) continue;
    const here = Math.max(1, Math.ceil(most * 1_000 - (state.spawns.get(above)?.cpuMs ?? 0)));
    left = Math.min(left ?? here, here);
  }
  return left;
}

function cpuSecondsOf(state: RunState, task: number): number | undefined {
  return state.index.jobs[state.index.jobOf(task)]?.spawn?.cpuSeconds;
}
