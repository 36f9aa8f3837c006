import { laneOf, type Needs, toRequirements } from '../placement/lane.ts';
import type { Sha256 } from '../words/digest.ts';
import { type JobId, jobId, type LaneId } from '../words/ids.ts';
import { ENV_PER_JOB_MAX, TASK_TIMEOUT_MS_DEFAULT } from '../words/limits.ts';
import type { Result } from '../words/result.ts';
import type { ShapedDocument } from './check-shape.ts';
import { ExternalPlaces, isExternalInput } from './external-places.ts';
import type { ContainerRef, Job, OutputRef, Requirements, Retries } from './graph.ts';
import type { DocumentJob, DocumentOutput } from './graph-document.ts';
import { parseInputRef, parseOutputRef } from './parse-reference.ts';
import { type Finding, inWords, type Path, type ProblemList } from './problem-list.ts';
import { PYTHON_CONTAINER, pythonJob } from './python-job.ts';
import { readForEach, withItem } from './read-for-each.ts';
import {
  NO_ENV,
  NO_NEEDS,
  readSettings,
  reportEnvTooLong,
  type Settings,
  UNREADABLE_CONTAINER,
} from './read-settings.ts';
import { readWhen } from './read-when.ts';
import { RequirementLayers } from './requirement-layers.ts';

/**
 * Each job by itself, defaults filled in; undefined where the shape is wrong. A member that cannot
 * be read is reported and left out, or stands as a placeholder, so that the rest is still checked.
 * Behind the jobs of the document come those that install requirements of Python jobs.
 */
export function normaliseJobs(
  shaped: ShapedDocument,
  ids: readonly (JobId | undefined)[],
  sha256: Sha256,
  problems: ProblemList,
): readonly (Job | undefined)[] {
  const basis = readBasis(shaped, ids, sha256, problems);
  const jobs = shaped.jobs.map((said, position) => {
    const id = ids[position];
    if (said === undefined || id === undefined) return undefined;
    return normaliseJob(said, id, position, basis);
  });
  return [...jobs, ...basis.layers.jobs()];
}

/** What all jobs are read against. */
interface Basis {
  readonly defaults: Settings;
  readonly placementOf: (needs: Needs) => Placement;
  readonly layers: RequirementLayers;
  readonly places: ExternalPlaces;
  readonly problems: ProblemList;
}

function readBasis(
  shaped: ShapedDocument,
  ids: readonly (JobId | undefined)[],
  sha256: Sha256,
  problems: ProblemList,
): Basis {
  const defaults =
    shaped.defaults === undefined
      ? { container: UNREADABLE_CONTAINER, env: NO_ENV, needs: NO_NEEDS }
      : readSettings(shaped.defaults, ['defaults'], problems);
  const placementOf = placements(defaults.needs, sha256);
  const taken = new Set(ids.filter((id) => id !== undefined));
  const layers = new RequirementLayers({ taken, placementOf, sha256 });
  const places = new ExternalPlaces(shaped, problems);
  return { defaults, placementOf, layers, places, problems };
}

function normaliseJob(said: DocumentJob, id: JobId, position: number, basis: Basis): Job {
  const { defaults, places, problems } = basis;
  const path = ['jobs', position];
  if (said.graph !== undefined) reportGraph(path, problems);
  const own = readSettings(said, path, problems);
  const command = own.command ?? defaults.command;
  const net = own.net ?? defaults.net ?? false;
  const replicas = own.replicas ?? defaults.replicas;
  // A default image is meant for commands, and seldom has a Python with podmesh's runner.
  const image = said.job === undefined ? defaults.container : PYTHON_CONTAINER;
  const env = mergeEnv(defaults.env, own.env, path, problems);
  const job: Job = {
    id,
    container: own.container ?? image ?? missingContainer(path, problems),
    ...(command === undefined ? {} : { command }),
    env,
    inputs: withItem(said, readInputs(said.inputs, [...path, 'inputs'], basis)),
    outputs: readOutputs(said.outputs, [...path, 'outputs'], problems),
    ...places.readDeliveries(said, path),
    ...places.readSecrets(said, env, path),
    net,
    after: (said.after ?? NO_IDS).map(jobId),
    ...basis.placementOf(own.needs),
    timeoutMs: own.timeoutMs ?? defaults.timeoutMs ?? TASK_TIMEOUT_MS_DEFAULT,
    retries: own.retries ?? defaults.retries ?? NO_RETRIES,
    ...(said.count === undefined ? {} : { count: said.count }),
    ...readForEach(said, path, problems),
    ...readWhen(said.when, path, problems),
    ...(said.spawn === undefined ? {} : { spawn: said.spawn }),
    // What a network answered yesterday is no promise for today, unless the author says so.
    cache: own.cache ?? defaults.cache ?? !net,
    ...(replicas === undefined ? {} : { replicas }),
    ...((own.keep ?? defaults.keep) === true ? { keep: true } : {}),
  };
  if (said.job === undefined) return job;
  return pythonJob(job, { ...said, job: said.job }, path, basis);
}

/** Whoever can read files has put its jobs here. */
function reportGraph(path: Path, problems: ProblemList): void {
  problems.add([...path, 'graph'], () => ({
    problem: 'a graph from a file is possible only in a document that "podmesh run" reads',
    advice: 'Write its jobs here instead.',
  }));
}

const NO_IDS: readonly string[] = [];
const NO_RETRIES: Retries = { task: 0 };

function missingContainer(path: Path, problems: ProblemList): ContainerRef {
  problems.add(path, () => ({
    problem: '"container" is missing, and "defaults" has none either',
    advice: 'Add "container": the image to run, such as "docker.io/library/debian:12".',
  }));
  return UNREADABLE_CONTAINER;
}

function mergeEnv(
  defaults: Settings['env'],
  own: Settings['env'],
  path: Path,
  problems: ProblemList,
): Settings['env'] {
  if (own === NO_ENV) return defaults;
  if (defaults === NO_ENV) return own;
  const merged = { ...defaults, ...own };
  const count = Object.keys(merged).length;
  reportEnvTooLong(merged, [...path, 'env'], problems);
  if (count > ENV_PER_JOB_MAX) {
    problems.add([...path, 'env'], () => ({
      problem: `with those of "defaults" there are ${count} variables, and at most ${ENV_PER_JOB_MAX} are possible`,
      advice: 'Put settings into a file and give it to the task under "inputs".',
    }));
  }
  return merged;
}

type Placement = { readonly requirements: Requirements; readonly lane: LaneId };

/** Like needs share one object and one hash: a graph of 200,000 jobs has a handful of lanes. */
function placements(defaults: Needs, sha256: Sha256): (needs: Needs) => Placement {
  const known = new Map<string, Placement>();
  return (needs) => {
    const requirements = toRequirements(
      needs === NO_NEEDS ? defaults : mergeNeeds(defaults, needs),
    );
    const key = JSON.stringify(requirements);
    const placement = known.get(key) ?? { requirements, lane: laneOf(requirements, sha256) };
    known.set(key, placement);
    return placement;
  };
}

function mergeNeeds(defaults: Needs, own: Needs): Needs {
  return {
    cpus: own.cpus ?? defaults.cpus,
    memoryBytes: own.memoryBytes ?? defaults.memoryBytes,
    diskBytes: own.diskBytes ?? defaults.diskBytes,
    gpus: own.gpus ?? defaults.gpus,
    arch: own.arch ?? defaults.arch,
    labels: own.labels ?? defaults.labels,
    runtime: own.runtime ?? defaults.runtime,
  };
}

const NOTHING: Readonly<Record<string, never>> = {};

function readInputs(
  said: DocumentJob['inputs'],
  path: Path,
  { places, problems }: Basis,
): Job['inputs'] {
  const entries = Object.entries(said ?? NOTHING);
  if (entries.length === 0) return NOTHING;
  const read = entries.flatMap(([name, value]) => {
    const reference =
      typeof value !== 'string' || isExternalInput(value)
        ? places.readInput(value, [...path, name])
        : readOr(parseInputRef(value), undefined, [...path, name], problems);
    return reference === undefined ? [] : [[name, reference] as const];
  });
  return Object.fromEntries(read);
}

/** Stands for an output that cannot be read, so that references to it are not called unknown. */
const UNREADABLE_OUTPUT: OutputRef = { kind: 'file', path: '' };

function readOutputs(
  said: DocumentJob['outputs'],
  path: Path,
  problems: ProblemList,
): Job['outputs'] {
  const entries = Object.entries(said ?? NOTHING);
  if (entries.length === 0) return NOTHING;
  const read = entries.map(
    ([name, value]) =>
      [
        name,
        readOr(parseOutputRef(outputText(value)), UNREADABLE_OUTPUT, [...path, name], problems),
      ] as const,
  );
  reportSharedPlaces(read, path, problems);
  return Object.fromEntries(read);
}

/** One that is delivered, as the text it would be otherwise. */
function outputText(said: string | DocumentOutput): string {
  if (typeof said === 'string') return said;
  const { file, dir, fd } = said;
  if (dir !== undefined) return `dir:${dir}`;
  return fd === undefined ? `file:${file ?? ''}` : `fd:${fd}`;
}

function readOr<T, U>(
  parsed: Result<T, Finding>,
  otherwise: U,
  path: Path,
  problems: ProblemList,
): T | U {
  if (parsed.ok) return parsed.value;
  problems.add(path, () => parsed.error);
  return otherwise;
}

function reportSharedPlaces(
  outputs: readonly (readonly [string, OutputRef])[],
  path: Path,
  problems: ProblemList,
): void {
  const first = new Map<string, string>();
  for (const [name, output] of outputs) {
    if (output === UNREADABLE_OUTPUT) continue;
    const place = output.kind === 'fd' ? `descriptor ${output.fd}` : output.path;
    const earlier = first.get(place);
    if (earlier === undefined) first.set(place, name);
    else
      problems.add([...path, name], () => ({
        problem: `${place} is already the output ${inWords(earlier)}`,
        advice: 'Give each output a place of its own. (0 and 1 both mean standard output.)',
      }));
  }
}
