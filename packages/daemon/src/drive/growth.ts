import { type Clock, isUndecided, type RunId, type RunState, type TaskState } from '@podmesh/core';
import type { Logger } from 'pino';
import type { WakeUp } from '../wake-up.ts';
import { Conditions } from './conditions.ts';
import { Expander, type ExpanderParts } from './expander.ts';
import type { Suspect } from './losses.ts';

/** How often a list, or a condition's text, may be said to be stored and still not be given. */
export const READS_MAX = 20;
/** Of one run at the same time: each list is held in memory whole. */
export const LOOKS_AT_ONCE = 4;
/** Rest before what failed is looked at again. */
const RETRY_MS = 1_000;

export interface GrowthParts extends ExpanderParts {
  readonly clock: Clock;
  readonly logger: Logger;
}

/** What became of the look at one task; believed only as long as nothing is folded into the task. */
interface Look {
  readonly of: TaskState;
  /** Undefined: it waits for its turn, is at work, or the fact that it told is on its way to us. */
  readonly suspect?: Suspect;
}

/**
 * What the driver of a run reads itself, beside all else that it does, since a read may take long: lists that jobs go
 * over, and texts that conditions look at.
 */
export class Growth {
  readonly #parts: GrowthParts;
  readonly #run: RunId;
  readonly #wake: WakeUp;
  readonly #signal: AbortSignal;
  readonly #expander: Expander;
  readonly #conditions: Conditions;
  /** By task. */
  readonly #looks = new Map<number, Look>();
  readonly #queued = new Set<Look & { readonly task: number }>();
  /** Reads, and rests. */
  readonly #atWork = new Set<Promise<void>>();
  #readers = 0;
  /** By task: how often what it stands for was there and could not be read. */
  readonly #misses = new Map<number, number>();

  /** `wake` is rung when something is to be decided again; all ends with the signal. */
  constructor(parts: GrowthParts, run: RunId, wake: WakeUp, signal: AbortSignal) {
    this.#parts = parts;
    this.#run = run;
    this.#wake = wake;
    this.#signal = signal;
    this.#expander = new Expander(parts, run);
    this.#conditions = new Conditions(parts, run);
  }

  /** Returns at once, and appends the fact in its turn. Not undefined: who has to be asked whether what was to be read was lost. */
  look(state: RunState, task: number): Suspect | undefined {
    const of = state.tasks[task];
    if (of === undefined) return undefined;
    const known = this.#looks.get(task);
    if (known?.of === of) return known.suspect;
    this.#looks.set(task, { of });
    this.#queued.add({ of, task });
    if (this.#readers < LOOKS_AT_ONCE) this.#begin(this.#work(state));
    return undefined;
  }

  /** After the signal: resolves when nothing is read any more. */
  async ended(): Promise<void> {
    while (this.#atWork.size > 0) await Promise.all(this.#atWork);
  }

  /**
   * Of these tasks peers say that everything is there, and still it could not be read: it is tried again after a
   * rest, but not for ever, as a run must end.
   */
  async readAgain(state: RunState, tasks: readonly number[]): Promise<void> {
    const open = new Map<number, TaskState>();
    for (const task of tasks) {
      const of = state.tasks[task];
      if (of === undefined) continue;
      const misses = (this.#misses.get(task) ?? 0) + 1;
      this.#misses.set(task, misses);
      this.#looks.set(task, { of });
      if (misses < READS_MAX) open.set(task, of);
      else await this.#giveUp(state, task).finally(() => this.#forget(task, of));
    }
    if (open.size > 0) this.#begin(this.#rest(open));
  }

  #begin(work: Promise<void>): void {
    const ended = work.finally(() => this.#atWork.delete(ended));
    this.#atWork.add(ended);
  }

  /** Never throws. */
  async #work(state: RunState): Promise<void> {
    this.#readers += 1;
    for (const queued of this.#queued) {
      this.#queued.delete(queued);
      const { task, of } = queued;
      if (this.#signal.aborted || state.tasks[task] !== of) continue;
      try {
        const suspect = await this.#lookAt(state, task);
        if (suspect === undefined) continue;
        this.#looks.set(task, { of, suspect });
        this.#wake.ring();
      } catch (err) {
        const about = { run: this.#run, task: state.index.idOf(task), err };
        this.#parts.logger.warn(about, 'cannot read what a job is about; trying again');
        await this.#rest(new Map([[task, of]]));
      }
    }
    this.#readers -= 1;
  }

  async #lookAt(state: RunState, task: number): Promise<Suspect | undefined> {
    return isUndecided(state, state.index.jobOf(task))
      ? await this.#conditions.decide(state, task)
      : await this.#expander.expand(state, task);
  }

  async #rest(tasks: ReadonlyMap<number, TaskState>): Promise<void> {
    await this.#parts.clock.sleep(RETRY_MS, this.#signal);
    for (const [task, of] of tasks) this.#forget(task, of);
    this.#wake.ring();
  }

  #forget(task: number, of: TaskState): void {
    if (this.#looks.get(task)?.of === of) this.#looks.delete(task);
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
