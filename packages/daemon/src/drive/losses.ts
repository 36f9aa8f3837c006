import { type ArtifactRef, lossesOf, type RunId, type RunLog, type RunState } from '@podmesh/core';
import type { Logger } from 'pino';
import type { LostOutputs } from '../store/lost-outputs.ts';

export interface LossesParts {
  readonly log: RunLog;
  readonly lost: LostOutputs;
  readonly logger: Logger;
}

/** A task whose last attempt could not get some of these outputs of others. */
export interface Suspect {
  readonly task: number;
  readonly artifacts: readonly ArtifactRef[];
}

/** Finds out what was really lost, and has it made again (DESIGN §7). */
export class Losses {
  readonly #parts: LossesParts;
  readonly #run: RunId;

  constructor(parts: LossesParts, run: RunId) {
    this.#parts = parts;
    this.#run = run;
  }

  /**
   * Appends `outputs-lost` for what nobody has any more. Those of the tasks for which everything is
   * there can be offered again: their peer looked at a bad moment, or somebody brought it back.
   */
  async tell(state: RunState, suspects: readonly Suspect[]): Promise<readonly number[]> {
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
