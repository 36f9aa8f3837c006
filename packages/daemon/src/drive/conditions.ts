import {
  ArtifactMissingError,
  type ArtifactRef,
  CONDITION_BYTES_MAX,
  conditionSource,
  judgeText,
  type RunId,
  type RunState,
  type Verdict,
} from '@podmesh/core';
import { readBounded } from '../store/read-bounded.ts';
import type { ExpanderParts } from './expander.ts';
import { type Suspect, suspectOf } from './losses.ts';

/** Looks whether jobs with a condition are needed, and tells the run. */
export class Conditions {
  readonly #parts: ExpanderParts;
  readonly #run: RunId;

  constructor(parts: ExpanderParts, run: RunId) {
    this.#parts = parts;
    this.#run = run;
  }

  /** The fact is appended, or somebody else's was first. Otherwise who has to be asked whether the text was lost. */
  async decide(state: RunState, task: number): Promise<Suspect | undefined> {
    const source = conditionSource(state, task);
    if (source === undefined) return undefined;
    const id = state.index.idOf(task);
    const tell = async ({ met, found }: Verdict): Promise<undefined> => {
      const event = { kind: 'when-decided', run: this.#run, task: id, met, found } as const;
      await this.#parts.log.append(event, source.behind);
      return undefined;
    };
    if (source.kind === 'known') return tell(source.verdict);
    const { artifact, when } = source;
    try {
      const read = await this.#read(artifact);
      if (read.ok) return await tell(judgeText(read.text, when));
      return await this.#fail(state, task, source.behind, read.why);
    } catch (error) {
      if (!(error instanceof ArtifactMissingError)) throw error;
      const suspect = suspectOf(state, task, artifact);
      if (suspect !== undefined) return suspect;
      return await this.#fail(state, task, source.behind, 'nobody has it any more');
    }
  }

  async #read({ digest, bytes }: ArtifactRef) {
    if (bytes > CONDITION_BYTES_MAX) {
      const why = `it has ${bytes} bytes, and ${CONDITION_BYTES_MAX} are possible`;
      return { ok: false as const, why };
    }
    const text = await readBounded(this.#parts.artifacts, digest, CONDITION_BYTES_MAX);
    return { ok: true as const, text: text.toString('utf8') };
  }

  /** The job fails: its condition can be looked at by nobody. */
  async fail(state: RunState, task: number, why: string): Promise<void> {
    const source = conditionSource(state, task);
    if (source !== undefined) await this.#fail(state, task, source.behind, why);
  }

  async #fail(state: RunState, task: number, behind: number, why: string): Promise<undefined> {
    const when = state.index.jobs[state.index.jobOf(task)]?.when;
    const what = when?.kind === 'output' ? `jobs:${when.job}/${when.output}` : '';
    const message = `its condition cannot be looked at: ${what}: ${why}`;
    const failure = { kind: 'output-missing', message } as const;
    const id = state.index.idOf(task);
    await this.#parts.log.append(
      { kind: 'expansion-failed', run: this.#run, task: id, failure },
      behind,
    );
    return undefined;
  }
}
