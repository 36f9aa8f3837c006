import { type OutputKeepers, type RunId, type RunState, spentTasks } from '@podmesh/core';

/**
 * Tells the peers which outputs nobody is going to read again, so that they go first when room is needed. A hint: it
 * may be lost, told twice by two drivers, or too early for what is lost later, which then is made again.
 */
export class SpentReleases {
  readonly #keepers: OutputKeepers;
  readonly #run: RunId;
  /** Positions of jobs, each told once. */
  readonly #told = new Set<number>();

  constructor(keepers: OutputKeepers, run: RunId) {
    this.#keepers = keepers;
    this.#run = run;
  }

  tell(state: RunState): void {
    for (let job = 0; job < state.graph.jobs.length; job += 1) {
      if (state.isRead[job] === 0 || this.#told.has(job)) continue;
      const tasks = spentTasks(state, job).map((task) => state.index.idOf(task));
      if (tasks.length === 0) continue;
      this.#told.add(job);
      this.#keepers.release({ run: this.#run, tasks, as: 'spent' });
    }
  }
}
