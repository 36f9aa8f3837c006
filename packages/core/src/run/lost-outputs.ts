import type { ArtifactRef } from '../artifact/artifact.ts';
import type { ArtifactId, JobId, RunId } from '../words/ids.ts';
import { RERUNS_PER_TASK_MAX } from '../words/limits.ts';
import type { OutputsLost } from './run-event.ts';
import type { RunState } from './run-state.ts';
import type { TaskReady } from './task-state.ts';

/**
 * The outputs of other tasks that a ready task reads, when its last attempt could not get all of
 * them: all, and not only those that it named, because an attempt stops at the first. None when what it missed was made
 * anew since, has no producer, or was made again so often that this does not help: then the task
 * fails by its own budget.
 */
export function suspectedLost(state: RunState, task: number): readonly ArtifactRef[] {
  const now = state.tasks[task];
  if (now?.kind !== 'ready' || !missedAnOutput(state, task, now)) return [];
  const artifacts = new Map<ArtifactId, ArtifactRef>();
  for (const { producer, artifact } of outputsRead(state, task)) {
    if (canBeMadeAgain(state, producer)) artifacts.set(artifact.digest, artifact);
  }
  return [...artifacts.values()];
}

/**
 * The facts that follow when nobody has `missing` and these tasks read some of it; each producer once. To be
 * appended one behind the other, the first behind `state.lossSequence`.
 */
export function lossesOf(
  state: RunState,
  run: RunId,
  tasks: readonly number[],
  missing: ReadonlySet<ArtifactId>,
): readonly OutputsLost[] {
  const lost = new Map<number, Set<ArtifactId>>();
  for (const task of tasks) {
    if (state.tasks[task]?.kind !== 'ready') continue;
    for (const { producer, artifact } of outputsRead(state, task)) {
      if (!missing.has(artifact.digest) || !canBeMadeAgain(state, producer)) continue;
      const artifacts = lost.get(producer) ?? new Set();
      lost.set(producer, artifacts.add(artifact.digest));
    }
  }
  return [...lost].map(([producer, artifacts]) => ({
    kind: 'outputs-lost',
    run,
    task: state.index.idOf(producer),
    artifacts: [...artifacts],
    rerun: (state.reruns.get(producer) ?? 0) + 1,
  }));
}

function canBeMadeAgain(state: RunState, producer: number): boolean {
  return (state.reruns.get(producer) ?? 0) < RERUNS_PER_TASK_MAX;
}

/** Whether what the last attempt missed came from another task, and is still what that task left. */
function missedAnOutput(state: RunState, task: number, { past }: TaskReady): boolean {
  const last = past.at(-1)?.outcome;
  if (typeof last !== 'object' || last.failure.missing === undefined) return false;
  const { inputs = {}, missing } = last.failure;
  const isMissing = (artifact: ArtifactId | undefined): boolean =>
    artifact !== undefined && missing.includes(artifact);
  for (const { input, producer, artifact } of outputsRead(state, task)) {
    if (!canBeMadeAgain(state, producer)) continue;
    // A gathered directory was listed by the driver: only by its name it is known to the log.
    if (isMissing(artifact.digest) || (input.isGathered && isMissing(inputs[input.name]))) {
      return true;
    }
  }
  return false;
}

interface OutputRead {
  /** Of the image: `''`, which no input is called. */
  readonly input: { readonly name: string; readonly isGathered: boolean };
  readonly producer: number;
  readonly artifact: ArtifactRef;
}

/** What the task reads of tasks that have succeeded: inputs, and an image that another task built. */
function* outputsRead(state: RunState, task: number): Iterable<OutputRead> {
  const job = state.graph.jobs[state.index.jobOf(task)];
  if (job === undefined) return;
  for (const [name, source] of [...Object.entries(job.inputs), ['', job.container] as const]) {
    if (source.kind === 'output') yield* outputsOf(state, name, source);
  }
}

function* outputsOf(
  state: RunState,
  name: string,
  source: { readonly job: JobId; readonly output: string; readonly index?: number },
): Iterable<OutputRead> {
  const position = state.index.positionOf(source.job);
  const isGathered = source.index === undefined && state.graph.jobs[position]?.count !== undefined;
  const first = state.index.firstTaskOf(position) + (source.index ?? 0);
  const size = isGathered ? state.index.sizeOf(position) : 1;
  for (let producer = first; producer < first + size; producer += 1) {
    const made = state.tasks[producer];
    if (made?.kind !== 'succeeded') continue;
    const artifact = made.result.outputs[source.output];
    if (artifact !== undefined) yield { input: { name, isGathered }, producer, artifact };
  }
}
