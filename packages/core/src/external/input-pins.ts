import type { ArtifactRef } from '../artifact/artifact.ts';
import type { InputPinned, RunEvent } from '../run/run-event.ts';
import type { RunState } from '../run/run-state.ts';
import type { RunId } from '../words/ids.ts';

/** What sources meant to a run when they were first read: facts of the run log, one subject for each source. */
export interface InputPins {
  find(run: RunId, source: string): Promise<InputPinned | undefined>;
  /** Makes it a fact, or gives the one that was first. */
  pin(pin: InputPinned): Promise<InputPinned>;
}

export const isInputPinned = (event: RunEvent): event is InputPinned =>
  event.kind === 'input-pinned';

/** The first one counts; the log's fence lets no second one in. */
export function foldPin(state: RunState, { source, artifact }: InputPinned): void {
  if (!state.pins.has(source)) state.pins.set(source, artifact);
}

/** By source: what all tasks of the run read there. */
export type PinnedInputs = Map<string, ArtifactRef>;
