import type { RunEvent, RunState } from '@podmesh/core';

/** For so many tasks looked at one by one, one look at all is cheap. */
const ALL_PER_STEP = 8;

/**
 * Which offers a step has to look at, without looking at all of them for each fact of a run: those of tasks that facts
 * have come of. Facts that move other tasks than their own have all looked at, and now and then all are anyway, since
 * an offer may be noted after the fact that outdates it.
 */
export class MovedTasks {
  #tasks = new Set<number>();
  #isOfOthers = true;
  /** Since all were looked at. */
  #steps = 0;

  note(state: RunState, event: RunEvent): void {
    if (event.kind !== 'attempt-started' && event.kind !== 'attempt-succeeded') {
      this.#isOfOthers = true;
      return;
    }
    const task = state.index.numberOf(event.task);
    if (task !== undefined) this.#tasks.add(task);
  }

  /** The tasks to look at of those that are `offered`; what was noted is forgotten. */
  take(offered: ReadonlyMap<number, unknown>): readonly number[] {
    this.#steps += 1;
    const isAll = this.#isOfOthers || this.#steps * ALL_PER_STEP >= offered.size;
    const moved = this.#tasks;
    this.#tasks = new Set();
    this.#isOfOthers = false;
    if (!isAll) return [...moved].filter((task) => offered.has(task));
    this.#steps = 0;
    return [...offered.keys()];
  }
}
