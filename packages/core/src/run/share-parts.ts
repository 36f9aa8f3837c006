import { EMPTY_ARTIFACT } from '../artifact/artifact.ts';
import type { Machine, TaskResult } from './run-event.ts';
import type { RunState } from './run-state.ts';

/** Results of one mesh repeat themselves: each distinct machine and name is kept once. */
export function shareParts(state: RunState, result: TaskResult): TaskResult {
  const { machines } = state;
  const known = machines.get(result.peer);
  const machine =
    known !== undefined && sameMachine(known, result.machine) ? known : result.machine;
  machines.set(result.peer, machine);
  const { digest } = result.log;
  const log = digest === EMPTY_ARTIFACT ? { ...result.log, digest: EMPTY_ARTIFACT } : result.log;
  const image = shareText(state, result.image);
  return { ...result, machine, log, image, peer: shareText(state, result.peer) };
}

/** One copy of a name that many facts repeat. */
export function shareText<T extends string>(state: RunState, text: T): T {
  const known = state.texts.get(text);
  if (known !== undefined) return known as T;
  state.texts.set(text, text);
  return text;
}

function sameMachine(a: Machine, b: Machine): boolean {
  return (Object.keys(a) as (keyof Machine)[]).every((name) => a[name] === b[name]);
}
