import { realpath } from 'node:fs/promises';
import { dirname, relative, resolve } from 'node:path';
import {
  type GraphProblem,
  JOBS_PER_GRAPH_MAX,
  SUBGRAPH_DEPTH_MAX,
  SUBGRAPHS_MAX,
  type SubGraph,
  subGraphJobs,
  subGraphReferences,
} from '@podmesh/core';
import { CliError } from '../cli-error.ts';
import { documentError } from './document-error.ts';
import { type ReadDocument, readFileDocument } from './read-document.ts';

/** A document in which no job is a graph any more. */
export interface InlinedDocument extends ReadDocument {
  /** Where each job was written, as `jobs[2]` or `jobs[0] (prep.json) jobs[2]`. */
  readonly places: readonly string[];
}

interface Place {
  readonly directory: string;
  /** Real paths of the files that include each other, outermost first. */
  readonly files: readonly string[];
  readonly label: string;
  readonly found: Found;
}

/** What was met on the way, in all files together. */
interface Found {
  /** Of single jobs: others are looked at all the same. */
  readonly problems: GraphProblem[];
  /** Files that were read; one that is named twice counts twice. */
  files: number;
}

interface Inlined {
  readonly jobs: readonly unknown[];
  readonly places: readonly string[];
}

/**
 * Puts the jobs of every file that a job names as its `graph` in the place of that job. Throws a
 * `CliError` with all that is wrong with these files and how they name each other, of all of them.
 */
export async function inlineGraphs(read: ReadDocument): Promise<InlinedDocument> {
  const { document, directory } = read;
  const jobs = memberOf(document, 'jobs');
  if (!Array.isArray(jobs) || !jobs.some((job) => memberOf(job, 'graph') !== undefined)) {
    const places = Array.isArray(jobs) ? jobs.map((_, at) => `jobs[${at}]`) : [];
    return { ...read, places };
  }
  const files = read.file === undefined ? [] : [await realpath(read.file)];
  const found: Found = { problems: [], files: 0 };
  const inlined = await inlineJobs(jobs, { directory, files, label: '', found });
  if (found.problems.length > 0) throw documentError(found.problems);
  return {
    ...read,
    document: { ...(document as object), jobs: inlined.jobs },
    places: inlined.places,
  };
}

async function inlineJobs(jobs: readonly unknown[], place: Place): Promise<Inlined> {
  const made: unknown[] = [];
  const places: string[] = [];
  const graphs = new Map<string, SubGraph>();
  for (const [at, job] of jobs.entries()) {
    const label = `${place.label}jobs[${at}]`;
    const file = memberOf(job, 'graph');
    if (typeof file !== 'string') {
      made.push(job);
      places.push(label);
      continue;
    }
    const inner = await includeIfRight(job, at, file, { ...place, label });
    if (inner === undefined) continue;
    graphs.set(inner.graph.id, inner.graph);
    // One by one: so many arguments as there may be jobs no call can have.
    for (const one of inner.graph.jobs) made.push(one);
    for (const one of inner.places) places.push(one);
    if (made.length > JOBS_PER_GRAPH_MAX) {
      throw problem(
        label,
        `with the graphs of files there are more than ${JOBS_PER_GRAPH_MAX} jobs`,
        'Split it into several runs.',
      );
    }
  }
  const referred = subGraphReferences(made, graphs);
  if (referred.ok) return { jobs: referred.value, places };
  place.found.problems.push(...withPlaces(referred.error, places));
  return { jobs: made, places };
}

/** Undefined, and noted, when that file is none: what else is wrong is to be told, too. */
async function includeIfRight(
  job: unknown,
  at: number,
  file: string,
  place: Place,
): Promise<Awaited<ReturnType<typeof include>> | undefined> {
  const { found } = place;
  found.files += 1;
  if (found.files > SUBGRAPHS_MAX) {
    if (found.files === SUBGRAPHS_MAX + 1)
      found.problems.push(tooManyFiles(`${place.label}.graph`));
    return undefined;
  }
  try {
    return await include(job, at, file, place);
  } catch (error) {
    if (!(error instanceof CliError) || error.kind !== 'document') throw error;
    found.problems.push(...problemsOf(error, place.label, file));
    return undefined;
  }
}

const tooManyFiles = (path: string): GraphProblem => ({
  path,
  problem: `more than ${SUBGRAPHS_MAX.toLocaleString('en')} graphs of files are taken in, a file that is named again counted again`,
  advice: 'Put some of these files into one, or split it into several runs.',
});

/** Told of the file that they are in, where they do not say so. */
function problemsOf(error: CliError, label: string, file: string): readonly GraphProblem[] {
  const { problems, message, advice = 'Repair that file.' } = error;
  if (problems.length === 0) return [{ path: `${label} (${file})`, problem: message, advice }];
  return problems.map((one) =>
    one.path.startsWith(label) ? one : { ...one, path: `${label} (${file}) ${one.path}` },
  );
}

async function include(
  job: unknown,
  at: number,
  file: string,
  place: Place,
): Promise<{ readonly graph: SubGraph; readonly places: readonly string[] }> {
  const path = resolve(place.directory, file);
  const real = await realpath(path).catch((error: unknown) => {
    throw problem(
      `${place.label}.graph`,
      `there is no ${path}`,
      'Paths are relative to the document.',
      error,
    );
  });
  if (place.files.includes(real)) {
    const cycle = [...place.files.slice(place.files.indexOf(real)), real].map((one) =>
      relative(place.directory, one),
    );
    throw problem(
      `${place.label}.graph`,
      `these files include each other: ${cycle.join(' → ')}`,
      'Remove one of these "graph" members.',
    );
  }
  if (place.files.length >= SUBGRAPH_DEPTH_MAX) {
    throw problem(
      `${place.label}.graph`,
      `graphs are nested more than ${SUBGRAPH_DEPTH_MAX} deep`,
      'Put some of these files into one.',
    );
  }
  const read = await readFileDocument(path, file);
  const inner = {
    ...{ directory: dirname(path), files: [...place.files, real] },
    ...{ label: `${place.label} (${file}) `, found: place.found },
  };
  const own = memberOf(read, 'jobs');
  if (!Array.isArray(own)) {
    throw problem(
      `${place.label}.graph`,
      `${file} has no list of "jobs"`,
      'Write a document like any other: {"version": 1, "jobs": [ … ]}.',
    );
  }
  // Inside out: what is included there has its ids and references by then.
  const flat = await inlineJobs(own, inner);
  const toOuter = (written: string) => relative(place.directory, resolve(inner.directory, written));
  const made = subGraphJobs({
    outer: job,
    position: at,
    document: { ...(read as object), jobs: flat.jobs },
    toOuter,
  });
  if (!made.ok)
    throw documentError(
      made.error.map((one) => ({ ...one, path: `${place.label} (${file}) ${one.path}` })),
    );
  return { graph: made.value, places: flat.places };
}

/** Problems of the inlined document, told where their jobs were written. */
export function withPlaces(
  problems: readonly GraphProblem[],
  places: readonly string[],
): readonly GraphProblem[] {
  return problems.map((one) => {
    const [whole = '', at] = /^jobs\[(\d+)\]/.exec(one.path) ?? [];
    const place = at === undefined ? undefined : places[Number(at)];
    return place === undefined ? one : { ...one, path: `${place}${one.path.slice(whole.length)}` };
  });
}

function problem(path: string, what: string, advice: string, cause?: unknown): CliError {
  const error = documentError([{ path, problem: what, advice }]);
  return cause === undefined ? error : Object.assign(error, { cause });
}

function memberOf(value: unknown, name: string): unknown {
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return undefined;
  return (value as Readonly<Record<string, unknown>>)[name];
}
