import type { ArtifactRef } from '../artifact/artifact.ts';
import { ALL_OUTPUTS, isArray } from '../graph/graph.ts';
import { ITEM } from '../graph/read-for-each.ts';
import type { ArtifactId, RunId } from '../words/ids.ts';
import { RERUNS_PER_TASK_MAX } from '../words/limits.ts';
import { spentAbove } from './cpu-budget.ts';
import type { OutputsLost } from './run-event.ts';
import { isUndecided, type RunState } from './run-state.ts';

/**
 * Whether the last attempt of a ready task could not get what another task left, and still is what that
 * left. Not so when what it missed was made anew since, has no producer, or was made again so often that
 * this does not help: then the task fails by its own budget.
 */
export function missedAnOutput(state: RunState, task: number): boolean {
  const now = state.tasks[task];
  if (now?.kind !== 'ready') return false;
  const last = now.past.at(-1)?.outcome;
  if (typeof last !== 'object' || last.failure.missing === undefined) return false;
  const { inputs = {}, missing } = last.failure;
  const isMissing = (artifact: ArtifactId | undefined): boolean =>
    artifact !== undefined && missing.includes(artifact);
  for (const source of sourcesOf(state, state.index.jobOf(task))) {
    // A gathered directory was listed by the driver: the log knows it by its name only.
    if (source.isGathered && !isMissing(inputs[source.name])) continue;
    for (const { producer, artifact } of outputsOf(state, source)) {
      const isNamed = source.isGathered || isMissing(artifact.digest);
      if (isNamed && canBeMadeAgain(state, producer)) return true;
    }
  }
  return false;
}

/**
 * The outputs of other tasks that each task of a job reads and that could be made again: all, and not
 * only those that an attempt named, because it stops at the first that it cannot get.
 */
export function outputsReadBy(state: RunState, job: number): readonly ArtifactRef[] {
  const artifacts = new Map<ArtifactId, ArtifactRef>();
  for (const source of sourcesOf(state, job)) {
    for (const { producer, artifact } of outputsOf(state, source)) {
      if (canBeMadeAgain(state, producer)) artifacts.set(artifact.digest, artifact);
    }
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
): readonly Omit<OutputsLost, 'behind'>[] {
  const waiting = tasks.filter((task) => state.tasks[task]?.kind === 'ready');
  const jobs = new Set(waiting.map((task) => state.index.jobOf(task)));
  const sources = [...jobs].flatMap((job) => [...sourcesOf(state, job)]);
  const lost = new Map<number, Set<ArtifactId>>();
  for (const { producer, artifact } of sources.flatMap((one) => [...outputsOf(state, one)])) {
    if (!missing.has(artifact.digest) || !canBeMadeAgain(state, producer)) continue;
    const artifacts = lost.get(producer) ?? new Set();
    lost.set(producer, artifacts.add(artifact.digest));
  }
  return [...lost].map(([producer, artifacts]) => ({
    kind: 'outputs-lost',
    run,
    task: state.index.idOf(producer),
    artifacts: [...artifacts],
    rerun: (state.reruns.get(producer) ?? 0) + 1,
  }));
}

/**
 * The fact that follows when nobody has these outputs of a success, although nobody read them as yet. Undefined when
 * they were lost so often that this does not help, and of a cancelled run, which needs nothing any more.
 */
export function lossOf(
  state: RunState,
  run: RunId,
  task: number,
  missing: readonly ArtifactId[],
): Omit<OutputsLost, 'behind'> | undefined {
  if (state.cancelRequested || state.tasks[task]?.kind !== 'succeeded') return undefined;
  if (!canBeMadeAgain(state, task)) return undefined;
  const rerun = (state.reruns.get(task) ?? 0) + 1;
  return { kind: 'outputs-lost', run, task: state.index.idOf(task), artifacts: missing, rerun };
}

function canBeMadeAgain(state: RunState, producer: number): boolean {
  return (
    (state.reruns.get(producer) ?? 0) < RERUNS_PER_TASK_MAX &&
    spentAbove(state, producer) === undefined
  );
}

/** What the tasks of a job read of another job: an input, or an image that was built. */
interface Source {
  /** Of the image: `''`, which no input is called. */
  readonly name: string;
  readonly output: string;
  readonly firstProducer: number;
  readonly producers: number;
  /** All elements of an array as one directory. */
  readonly isGathered: boolean;
}

function* sourcesOf(state: RunState, position: number): Iterable<Source> {
  const job = state.graph.jobs[position];
  if (job === undefined) return;
  if (job.when?.kind === 'output' && isUndecided(state, position)) {
    const { job: other, output, index = 0 } = job.when;
    const firstProducer = state.index.firstTaskOf(state.index.positionOf(other)) + index;
    yield { name: 'when', output, firstProducer, producers: 1, isGathered: false };
  }
  if (job.forEach !== undefined) {
    const { job: other, output, index = 0 } = job.forEach;
    const firstProducer = state.index.firstTaskOf(state.index.positionOf(other)) + index;
    // An element is known by its own digest, and not by that of the list.
    yield { name: ITEM, output, firstProducer, producers: 1, isGathered: true };
  }
  for (const [name, ref] of [...Object.entries(job.inputs), ['', job.container] as const]) {
    if (ref.kind !== 'output') continue;
    const from = state.index.positionOf(ref.job);
    const producer = state.graph.jobs[from];
    const isGathered = ref.index === undefined && producer !== undefined && isArray(producer);
    const firstProducer = state.index.firstTaskOf(from) + (ref.index ?? 0);
    const producers = isGathered ? state.index.sizeOf(from) : 1;
    yield { name, output: ref.output, firstProducer, producers, isGathered };
  }
}

function* outputsOf(
  state: RunState,
  { output, firstProducer, producers }: Source,
): Iterable<{ readonly producer: number; readonly artifact: ArtifactRef }> {
  for (let producer = firstProducer; producer < firstProducer + producers; producer += 1) {
    const made = state.tasks[producer];
    if (made?.kind !== 'succeeded') continue;
    for (const [name, artifact] of Object.entries(made.result.outputs)) {
      if (output === ALL_OUTPUTS || name === output) yield { producer, artifact };
    }
  }
}
