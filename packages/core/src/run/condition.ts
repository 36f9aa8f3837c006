import type { ArtifactRef } from '../artifact/artifact.ts';
import type { When } from '../graph/graph.ts';
import type { Sequence } from '../ports.ts';
import { assert } from '../words/unreachable.ts';
import { isUndecided, type RunState } from './run-state.ts';

/** Whether the condition is met, and what was found, for people. */
export interface Verdict {
  readonly met: boolean;
  readonly found: string;
}

/** What has to be looked at. `behind`: where `when-decided` has to land. */
export type ConditionSource = { readonly behind: Sequence } & (
  | { readonly kind: 'known'; readonly verdict: Verdict }
  | { readonly kind: 'text'; readonly artifact: ArtifactRef; readonly when: TextCondition }
);

type TextCondition = Extract<When, { kind: 'output' }>;

const FOUND_CHARACTERS_MAX = 100;

/** Of a ready task that stands for a job with a condition; undefined once that is decided. */
export function conditionSource(state: RunState, task: number): ConditionSource | undefined {
  const job = state.index.jobOf(task);
  const when = state.index.jobs[job]?.when;
  const now = state.tasks[task];
  if (when === undefined || now?.kind !== 'ready' || !isUndecided(state, job)) return undefined;
  const behind = now.sequence;
  const first = state.index.firstTaskOf(state.index.positionOf(when.job));
  if (when.kind === 'exit')
    return { kind: 'known', behind, verdict: judgeExit(state, first, when) };
  const producer = state.tasks[first + (when.index ?? 0)];
  assert(producer?.kind === 'succeeded', `${when.job} is not done, and its output is a condition`);
  const artifact = producer.result.outputs[when.output];
  assert(artifact !== undefined, `${when.job} did not record its output ${when.output}`);
  return { kind: 'text', behind, artifact, when };
}

/** Who ended without an exit code, or never ran, ended with none of those. */
function judgeExit(
  state: RunState,
  task: number,
  { codes, not, job }: Extract<When, { kind: 'exit' }>,
): Verdict {
  const now = state.tasks[task];
  const exit =
    now?.kind === 'succeeded'
      ? now.result.exit
      : now?.kind === 'failed'
        ? now.failure.exit
        : undefined;
  const code = exit?.code;
  const isOne = code !== undefined && codes.includes(code);
  const found = code === undefined ? `${job} has no exit code` : `${job} exited with ${code}`;
  return { met: isOne !== (not === true), found };
}

/** Judges the text of an output. */
export function judgeText(text: string, { equals, contains, not }: TextCondition): Verdict {
  const plain = text.replace(/\r?\n$/, '');
  const isSo = equals === undefined ? text.includes(contains ?? '') : plain === equals;
  const shown =
    plain.length > FOUND_CHARACTERS_MAX ? `${plain.slice(0, FOUND_CHARACTERS_MAX)}…` : plain;
  return { met: isSo !== (not === true), found: `the text is ${JSON.stringify(shown)}` };
}
