import { makeReady, progressOf, type RunState } from './run-state.ts';

/** Something that the job waited for is done. */
export function meetDependency(state: RunState, job: number): void {
  const progress = progressOf(state, job);
  progress.unmet -= 1;
  if (progress.unmet === 0 && progress.blockedBy === undefined) makeReady(state, job);
}
