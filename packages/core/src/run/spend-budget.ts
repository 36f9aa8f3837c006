import type { Sequence } from '../ports.ts';
import type { BudgetSpent } from './run-event.ts';
import type { RunState } from './run-state.ts';
import { abandonSubTasks } from './settle-parent.ts';
import { spawnsOf } from './spawn-line.ts';

/**
 * Folds `budget-spent`: what the task spawned, and what that spawned, comes to its end. What has not begun never does, what
 * runs is told to end by the driver, and nothing below is tried again or spawned any more. The task itself goes on: it is told.
 */
export function spendBudget(state: RunState, event: BudgetSpent, sequence: Sequence): void {
  const parent = state.index.numberOf(event.parent);
  if (parent === undefined) return;
  const spawns = spawnsOf(state, parent);
  spawns.sequence = sequence;
  spawns.refusal = undefined;
  if (state.cancelRequested || state.spent.has(parent)) return;
  state.spent.set(parent, event.cpuMs);
  abandonSubTasks(state, parent);
}
