import { EMPTY_ARTIFACT } from '../artifact/artifact.ts';
import type { PeerId } from '../words/ids.ts';
import type { Failure, Machine, TaskResult } from './run-event.ts';
import type { RunState } from './run-state.ts';

/** Results of one mesh repeat themselves: each distinct machine and name is kept once. */
export function shareParts(state: RunState, result: TaskResult): TaskResult {
  const machine = shareMachine(state, result.peer, result.machine);
  const { digest } = result.log;
  const log = digest === EMPTY_ARTIFACT ? { ...result.log, digest: EMPTY_ARTIFACT } : result.log;
  const image = shareText(state, result.image);
  return { ...result, machine, log, image, peer: shareText(state, result.peer) };
}

/** The same of a failure on that peer. */
export function shareFailure(state: RunState, failure: Failure, peer: PeerId): Failure {
  const { machine } = failure;
  return machine === undefined
    ? failure
    : { ...failure, machine: shareMachine(state, peer, machine) };
}

/** One copy of a name that many facts repeat. */
export function shareText<T extends string>(state: RunState, text: T): T {
  const known = state.texts.get(text);
  if (known !== undefined) return known as T;
  state.texts.set(text, text);
  return text;
}

function shareMachine({ machines }: RunState, peer: PeerId, machine: Machine): Machine {
  const known = machines.get(peer);
  const shared = known !== undefined && sameMachine(known, machine) ? known : machine;
  machines.set(peer, shared);
  return shared;
}

function sameMachine(a: Machine, b: Machine): boolean {
  return (Object.keys(a) as (keyof Machine)[]).every((name) => a[name] === b[name]);
}
