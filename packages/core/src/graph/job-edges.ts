import { ARRAY_ELEMENTS_MAX } from '../words/limits.ts';
import type { InputRef, Job } from './graph.ts';
import type { Path } from './problem-list.ts';

/**
 * Which jobs each job waits for, by position, as three flat arrays (compressed rows): the edges of
 * job `j` are those from `start[j]` up to `start[j + 1]`. Linear in the document, whatever `count` says.
 */
export interface JobEdges {
  readonly start: Uint32Array;
  /** Position of the job that is waited for. */
  readonly target: Uint32Array;
  /** The one element that is waited for, or -1 for all of the job. */
  readonly element: Int32Array;
}

/** One place where a job names another. */
export interface JobReference {
  readonly job: string;
  readonly output?: string | undefined;
  readonly index?: number | undefined;
  /** Where, below the job, such as `inputs`, `in1`. */
  readonly member: Path;
}

/** Every other job that the job names, in the order container, inputs, forEach, when, after. */
export function referencesOf(job: Job): readonly JobReference[] {
  const { container, inputs, forEach, when, after } = job;
  const references: JobReference[] = [];
  if (container.kind === 'output') references.push(referenceFrom(container, ['container']));
  for (const name of Object.keys(inputs)) {
    const input = inputs[name];
    if (input?.kind === 'output') references.push(referenceFrom(input, ['inputs', name]));
  }
  if (forEach !== undefined) {
    const { job: id, output, index } = forEach;
    references.push({ job: id, output, index, member: ['forEach'] });
  }
  if (when?.kind === 'exit') references.push({ job: when.job, member: ['when', 'job'] });
  if (when?.kind === 'output') {
    const { job: id, output, index } = when;
    references.push({ job: id, output, index, member: ['when', 'output'] });
  }
  for (const [item, id] of after.entries()) references.push({ job: id, member: ['after', item] });
  return references;
}

type OutputOfJob = Extract<InputRef, { kind: 'output' }>;

/** Named member by member: spreading is several times slower, and there may be millions. */
function referenceFrom({ job, output, index }: OutputOfJob, member: Path): JobReference {
  return { job, output, index, member };
}

/** Ids to positions; of jobs with the same id the first one counts. */
export function positionsOf(ids: readonly (string | undefined)[]): Map<string, number> {
  const positions = new Map<string, number>();
  for (const [position, id] of ids.entries())
    if (id !== undefined && !positions.has(id)) positions.set(id, position);
  return positions;
}

/** Edges without repetitions; references to oneself and to unknown jobs are left out. */
export function jobEdges(
  jobs: readonly (Job | undefined)[],
  positions: ReadonlyMap<string, number>,
): JobEdges {
  const start = new Uint32Array(jobs.length + 1);
  const target: number[] = [];
  const element: number[] = [];
  for (const [position, job] of jobs.entries()) {
    for (const key of edgeKeys(job, position, positions)) {
      target.push(Math.floor(key / KEYS_PER_JOB));
      element.push((key % KEYS_PER_JOB) - 1);
    }
    start[position + 1] = target.length;
  }
  return { start, target: Uint32Array.from(target), element: Int32Array.from(element) };
}

/** The edges of one job alone; `element` is absent where all of the other job is waited for. */
export function edgesOfJob(
  job: Job,
  position: number,
  positions: ReadonlyMap<string, number>,
): readonly { readonly target: number; readonly element?: number }[] {
  return edgeKeys(job, position, positions).map((key) => {
    const target = Math.floor(key / KEYS_PER_JOB);
    const element = key % KEYS_PER_JOB;
    return element === 0 ? { target } : { target, element: element - 1 };
  });
}

/** An edge as one number: 0 within a job's range is all of it, 1 and up are its elements. */
const KEYS_PER_JOB = ARRAY_ELEMENTS_MAX + 1;
const NO_KEYS: readonly number[] = [];

function edgeKeys(
  job: Job | undefined,
  position: number,
  positions: ReadonlyMap<string, number>,
): readonly number[] {
  if (job === undefined) return NO_KEYS;
  const keys: number[] = [];
  for (const { job: id, index = -1 } of referencesOf(job)) {
    const target = positions.get(id);
    if (target === undefined || target === position || index >= ARRAY_ELEMENTS_MAX) continue;
    keys.push(target * KEYS_PER_JOB + index + 1);
  }
  return keys.length < 2 ? keys : withoutRepetitions(keys);
}

/** Once each, and no single elements of a job of which all is waited for. */
function withoutRepetitions(keys: readonly number[]): readonly number[] {
  const distinct = new Set(keys);
  return [...distinct].filter((key) => {
    const whole = key - (key % KEYS_PER_JOB);
    return key === whole || !distinct.has(whole);
  });
}
