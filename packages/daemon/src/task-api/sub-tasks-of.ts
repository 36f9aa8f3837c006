import { type RunState, type TaskId, tasksOf } from '@podmesh/core';

/** Numbers of the tasks that a task spawned itself, oldest first. */
export function subTasksOf(state: RunState, parent: TaskId): readonly number[] {
  const number = state.index.numberOf(parent);
  const spawns = number === undefined ? undefined : state.spawns.get(number);
  return [...(spawns?.byKey.values() ?? [])].flatMap((spawned) => tasksOf(state, spawned));
}
