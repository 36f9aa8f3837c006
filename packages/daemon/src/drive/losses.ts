import {
  type ArtifactRef,
  type Clock,
  lossesOf,
  outputsReadBy,
  type RunId,
  type RunLog,
  type RunState,
} from '@podmesh/core';
import type { Logger } from 'pino';
import type { LostOutputs } from '../store/lost-outputs.ts';
import type { WakeUp } from '../wake-up.ts';

/** Rest after a question that could not be answered. */
const RETRY_MS = 1_000;

export interface LossesParts {
  readonly log: RunLog;
  readonly lost: LostOutputs;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** A task whose last attempt could not get some of these outputs of others. */
export interface Suspect {
  readonly task: number;
  readonly artifacts: readonly ArtifactRef[];
}

/**
 * Finds out what was really lost, and has it made again (DESIGN §7): beside whatever else is to be done in the run,
 * since peers that do not answer are waited for.
 */
export class Losses {
  readonly #parts: LossesParts;
  readonly #run: RunId;
  readonly #wake: WakeUp;
  /** `<task>/<attempts so far>` of those for which everything is there. */
  readonly #cleared = new Set<string>();
  #asking: Promise<void> | undefined;

  /** `wake` is rung when something was found out. */
  constructor(parts: LossesParts, run: RunId, wake: WakeUp) {
    this.#parts = parts;
    this.#run = run;
    this.#wake = wake;
  }

  /**
   * Those of the tasks that can be offered again, as far as is known: each once. About the others it is asked, all
   * together, unless that is being done.
   */
  take(state: RunState, suspects: readonly Suspect[]): readonly number[] {
    const cleared = suspects.filter(({ task }) => this.#cleared.delete(nameOf(state, task)));
    const open = suspects.filter((suspect) => !cleared.includes(suspect));
    if (open.length > 0 && this.#asking === undefined) this.#asking = this.#ask(state, open);
    return cleared.map(({ task }) => task);
  }

  /** Resolves when nothing is asked any more. */
  async ended(): Promise<void> {
    await this.#asking;
  }

  async #ask(state: RunState, suspects: readonly Suspect[]): Promise<void> {
    const { clock, logger } = this.#parts;
    try {
      const cleared = await this.#tell(state, suspects);
      for (const task of cleared) this.#cleared.add(nameOf(state, task));
      // What was appended, by us or somebody else, is on its way to us.
      if (cleared.length === 0) await clock.sleep(RETRY_MS);
    } catch (error) {
      logger.warn({ run: this.#run, err: error }, 'cannot find out what was lost; trying again');
      await clock.sleep(RETRY_MS);
    }
    this.#asking = undefined;
    this.#wake.ring();
  }

  /**
   * Appends `outputs-lost` for what nobody has any more. Those of the tasks for which everything is
   * there can be offered again: their peer looked at a bad moment, or somebody brought it back.
   */
  async #tell(state: RunState, suspects: readonly Suspect[]): Promise<readonly number[]> {
    const seen = state.lossSequence;
    // One list for all tasks of a job.
    const lists = [...new Set(suspects.map(({ artifacts }) => artifacts))];
    const missing = new Set(await this.#parts.lost.missing(lists.flat()));
    // What was missing may have been made again while we asked.
    if (state.lossSequence !== seen) return [];
    const tasks = suspects.map(({ task }) => task);
    let behind = seen;
    for (const event of lossesOf(state, this.#run, tasks, missing)) {
      const appended = await this.#parts.log.append({ ...event, behind }, behind);
      // Somebody ended the run, or told of a loss, before us: the log will say which.
      if (!appended.ok) return [];
      behind = appended.value;
      const { run, task, artifacts, rerun } = event;
      this.#parts.logger.warn(
        { run, task, artifacts, rerun },
        'outputs were lost; making them again',
      );
    }
    const whole = lists.filter((list) => list.every(({ digest }) => !missing.has(digest)));
    return suspects.filter(({ artifacts }) => whole.includes(artifacts)).map(({ task }) => task);
  }
}

/** A later attempt of the task may miss something else. */
function nameOf(state: RunState, task: number): string {
  const now = state.tasks[task];
  return `${task}/${now?.kind === 'ready' ? now.past.length : ''}`;
}

/**
 * Who has to be asked whether it was lost. Undefined where asking is of no use: what the task reads was made again
 * as often as may be.
 */
export function suspectOf(
  state: RunState,
  task: number,
  missing: ArtifactRef,
): Suspect | undefined {
  const artifacts = outputsReadBy(state, state.index.jobOf(task));
  return artifacts.some(({ digest }) => digest === missing.digest)
    ? { task, artifacts }
    : undefined;
}
