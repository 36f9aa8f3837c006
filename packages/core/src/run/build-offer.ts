import type { ArtifactRef, Tree, TreeEntry } from '../artifact/artifact.ts';
import { offerExternals } from '../external/offer-externals.ts';
import { sourceKey } from '../external/store-place.ts';
import {
  ALL_OUTPUTS,
  type InputRef,
  isArray,
  type Job,
  type Requirements,
} from '../graph/graph.ts';
import type { ImagePins } from '../graph/image-pins.ts';
import { laneOf } from '../placement/lane.ts';
import type { Sha256 } from '../words/digest.ts';
import { type ArtifactId, artifactId, type JobId, type TaskId } from '../words/ids.ts';
import { assert, unreachable } from '../words/unreachable.ts';
import { cpuLeftMs } from './cpu-budget.ts';
import type { Offer, OfferedImage } from './offer.ts';
import { grownRequirements, peersToAvoid } from './retry-policy.ts';
import type { RunEvent } from './run-event.ts';
import type { RunState } from './run-state.ts';
import type { PastAttempt } from './task-state.ts';

/** What the driver found out about things that the graph only names. */
export interface Surroundings {
  /** Image ids behind a reference or an id, by architecture, as far as they are known. */
  image(reference: string): ImagePins | undefined;
  /** Kind and length of an artifact, when its bytes are there. */
  artifact(id: ArtifactId): ArtifactRef | undefined;
  /** The stored directory of all elements' outputs of an array job. */
  gathered(job: JobId, output: string): ArtifactRef;
  /** The stored element of a task of a `forEach` job. */
  item(task: number): StoredElement;
  /** What the largest peer that suits otherwise offers; asked for only when a task ran out of memory. */
  largestMemoryBytes(asked: Requirements): number;
  readonly sha256: Sha256;
}

export interface StoredElement {
  readonly artifact: ArtifactRef;
  /** Of an entry of a directory. */
  readonly name?: string;
}

/** The offer of a ready task, whose dependencies have therefore all succeeded. */
export function buildOffer(
  state: RunState,
  task: number,
  run: RunEvent['run'],
  known: Surroundings,
): Offer {
  const before = state.tasks[task];
  const job = state.graph.jobs[state.index.jobOf(task)];
  assert(before?.kind === 'ready' && job !== undefined, `task number ${task} is not ready`);
  const name = job.forEach === undefined ? undefined : known.item(task).name;
  const itemName = name === undefined ? {} : { PODMESH_ITEM_NAME: name };
  const inputs: Record<string, ArtifactRef> = {};
  for (const [name, input] of Object.entries(job.inputs)) {
    const resolved =
      input.kind === 'item' ? known.item(task).artifact : resolveInput(state, input, known);
    if (resolved !== undefined) inputs[name] = resolved;
  }
  const left = cpuLeftMs(state, task);
  return {
    run,
    task: state.index.idOf(task),
    attempt: before.past.length + 1,
    sequence: before.sequence,
    image: resolveContainer(state, job, known),
    ...(job.command === undefined ? {} : { command: job.command }),
    env: { ...environment(job, state.index.elementOf(task), state.index.idOf(task)), ...itemName },
    inputs,
    ...(job.mountAt === undefined ? {} : { mountAt: job.mountAt }),
    outputs: job.outputs,
    ...imagesOf(state, task, job),
    ...offerExternals(state.graph, job, state.index.elementOf(task)),
    net: job.net,
    ...placementOf(job, before.past, known),
    timeoutMs: job.timeoutMs,
    ...(left === undefined ? {} : { cpuLeftMs: left }),
    avoid: peersToAvoid(before.past),
    cache: job.cache,
  };
}

function placementOf(job: Job, past: readonly PastAttempt[], known: Surroundings) {
  const { requirements: asked, lane } = job;
  const requirements = grownRequirements(asked, past, known.largestMemoryBytes(asked));
  if (requirements === asked) return { requirements, lane };
  return { requirements, lane: laneOf(requirements, known.sha256) };
}

/**
 * What an array job's outputs look like as one directory: `0`, `1`, … padded so that names sort in order; with
 * `ALL_OUTPUTS` each a directory of its outputs by name.
 */
export function gatherTree(state: RunState, job: JobId, output: string): Tree {
  const position = positionOf(state, job);
  const size = state.index.sizeOf(position);
  const width = String(size - 1).length;
  const names = Object.keys(state.graph.jobs[position]?.outputs ?? {}).sort();
  const entries = Array.from({ length: size }, (_, element) => {
    const path = String(element).padStart(width, '0');
    const task = state.index.firstTaskOf(position) + element;
    if (output !== ALL_OUTPUTS) return [gatheredEntry(path, outputOf(state, task, output))];
    return names.map((name) => gatheredEntry(`${path}/${name}`, outputOf(state, task, name)));
  });
  return { podmeshTree: 1, entries: entries.flat() };
}

function gatheredEntry(path: string, { kind, digest, bytes }: ArtifactRef): TreeEntry {
  if (kind === 'dir') return { kind: 'tree', path, digest };
  return { kind: 'file', path, digest, bytes, executable: false };
}

/** The gathered directories a task's inputs need. */
export function gathersOf(
  state: RunState,
  task: number,
): readonly { job: JobId; output: string }[] {
  const job = state.graph.jobs[state.index.jobOf(task)];
  const inputs = Object.values(job?.inputs ?? {});
  return inputs
    .filter((input) => input.kind === 'output')
    .filter((input) => isGather(state, input));
}

function isGather(state: RunState, input: { job: JobId; index?: number }): boolean {
  if (input.index !== undefined) return false;
  const producer = state.graph.jobs[positionOf(state, input.job)];
  return producer !== undefined && isArray(producer);
}

/** Undefined of a source that the run has not read yet. */
function resolveInput(
  state: RunState,
  input: Exclude<InputRef, { kind: 'item' }>,
  known: Surroundings,
): ArtifactRef | undefined {
  switch (input.kind) {
    case 'artifact':
      // Unknown bytes are the attempt's `input-missing`, with the peer's own words.
      return known.artifact(input.artifact) ?? { digest: input.artifact, kind: 'file', bytes: 0 };
    case 'output':
      if (isGather(state, input)) return known.gathered(input.job, input.output);
      return outputOf(state, producerOf(state, input), input.output);
    case 'external': {
      const { digest, place } = input;
      if (digest === undefined) return state.pins.get(sourceKey(place, known.sha256));
      return known.artifact(digest) ?? { digest, kind: 'file', bytes: 0 };
    }
    case 'file':
      throw new Error(`broken invariant: file:${input.path} was not uploaded by the publisher`);
    default:
      return unreachable(input);
  }
}

function resolveContainer(state: RunState, job: Job, known: Surroundings): OfferedImage {
  const { container } = job;
  switch (container.kind) {
    case 'digest': {
      // An image is of one architecture, and so is its id.
      const [id] = Object.values(known.image(container.digest) ?? {});
      return { kind: 'digest', digest: id ?? container.digest };
    }
    case 'reference': {
      // Each peer takes the pin of its own architecture, so the driver's must not stand for all.
      const pins = container.pins ?? known.image(container.reference);
      return pins === undefined ? container : { ...container, pins };
    }
    case 'output': {
      const archive = outputOf(state, producerOf(state, container), container.output);
      return { kind: 'archive', archive: artifactId(archive.digest) };
    }
    default:
      return unreachable(container);
  }
}

function producerOf(state: RunState, ref: { job: JobId; index?: number }): number {
  return state.index.firstTaskOf(positionOf(state, ref.job)) + (ref.index ?? 0);
}

function positionOf(state: RunState, job: JobId): number {
  const position = state.index.positionOf(job);
  assert(position !== undefined, `the graph refers to ${job} and does not have it`);
  return position;
}

function outputOf(state: RunState, task: number, output: string): ArtifactRef {
  const producer = state.tasks[task];
  assert(producer?.kind === 'succeeded', `task number ${task} has no outputs yet`);
  const found = producer.result.outputs[output];
  assert(found !== undefined, `task number ${task} did not record its output ${output}`);
  return found;
}

/** Those of its outputs that other jobs run in. */
function imagesOf({ graph, index }: RunState, task: number, { id }: Job): Pick<Offer, 'images'> {
  const images = new Set<string>();
  const readers = [...index.dependentsOfJob(index.jobOf(task)), ...index.dependentsOfTask(task)];
  for (const reader of readers) {
    const container = graph.jobs[reader]?.container;
    if (container?.kind === 'output' && container.job === id) images.add(container.output);
  }
  return images.size === 0 ? {} : { images: [...images] };
}

function environment(job: Job, element: number | undefined, task: TaskId): Offer['env'] {
  const own = job.taskIdEnv === undefined ? job.env : { ...job.env, [job.taskIdEnv]: task };
  if (element === undefined || job.count === undefined) return own;
  return { ...own, PODMESH_INDEX: String(element), PODMESH_COUNT: String(job.count) };
}
