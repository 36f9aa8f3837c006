import { isUndecided, type RunId, type RunState } from '@podmesh/core';
import { Conditions } from './conditions.ts';
import { Expander, type ExpanderParts } from './expander.ts';
import type { Suspect } from './losses.ts';

/** How often a list, or a condition's text, may be said to be stored and still not be given. */
export const READS_MAX = 20;

/** What the driver of a run reads itself: lists that jobs go over, and texts that conditions look at. */
export class Growth {
  readonly #expander: Expander;
  readonly #conditions: Conditions;
  /** By task: how often what it stands for was there and could not be read. */
  readonly #misses = new Map<number, number>();

  constructor(parts: ExpanderParts, run: RunId) {
    this.#expander = new Expander(parts, run);
    this.#conditions = new Conditions(parts, run);
  }

  /** The fact is appended. Otherwise who has to be asked whether what was to be read was lost. */
  async look(state: RunState, task: number): Promise<Suspect | undefined> {
    return isUndecided(state, state.index.jobOf(task))
      ? await this.#conditions.decide(state, task)
      : await this.#expander.expand(state, task);
  }

  /**
   * Of these tasks peers say that everything is there, and still it could not be read: it is tried again, but not
   * for ever, as a run must end. Throws when there is one to be tried again.
   */
  async readAgain(state: RunState, tasks: readonly number[]): Promise<void> {
    const open: number[] = [];
    for (const task of tasks) {
      const misses = (this.#misses.get(task) ?? 0) + 1;
      this.#misses.set(task, misses);
      if (misses < READS_MAX) open.push(task);
      else await this.#giveUp(state, task);
    }
    if (open.length === 0) return;
    throw new Error('a list or text that peers say they have could not be read just now');
  }

  async #giveUp(state: RunState, task: number): Promise<void> {
    const why = `peers said ${READS_MAX} times that they have it, and none could give it`;
    if (isUndecided(state, state.index.jobOf(task))) await this.#conditions.fail(state, task, why);
    else await this.#expander.fail(state, task, why);
  }
}

/** Whether it stands for itself, and not for a job of which nobody has looked how many tasks it has, if any. */
export function isOfferable(state: RunState, task: number): boolean {
  const job = state.index.jobOf(task);
  return !state.index.isOpen(job) && !isUndecided(state, job);
}
