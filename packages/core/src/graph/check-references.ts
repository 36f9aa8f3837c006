import { EXPANSION_MAX } from '../words/limits.ts';
import type { ShapedDocument } from './check-shape.ts';
import { findCycles } from './find-cycles.ts';
import { ALL_OUTPUTS, isArray, type Job } from './graph.ts';
import { type JobReference, jobEdges, positionsOf, referencesOf } from './job-edges.ts';
import { didYouMean } from './nearest-name.ts';
import { type Finding, inWords, type Path, type ProblemList } from './problem-list.ts';

/** The jobs of a document as far as they could be read, and where to find them. */
interface ReadJobs {
  readonly shaped: ShapedDocument;
  readonly jobs: readonly (Job | undefined)[];
  readonly positions: ReadonlyMap<string, number>;
}

/** Reports every reference that leads nowhere or cannot be meant, and every cycle. */
export function checkReferences(
  shaped: ShapedDocument,
  ids: readonly (string | undefined)[],
  jobs: readonly (Job | undefined)[],
  problems: ProblemList,
): void {
  const read: ReadJobs = { shaped, jobs, positions: positionsOf(ids) };
  let inheritedReported = false;
  for (const [position, job] of jobs.entries()) {
    if (job === undefined) continue;
    for (const reference of referencesOf(job)) {
      const finding = findingOf(position, job, reference, read);
      if (finding === undefined) continue;
      const path = placeOf(position, reference.member, shaped);
      const inherited = path[0] === 'defaults';
      // What is wrong with an inherited container is said once, not for each job that inherits it.
      if (!(inherited && inheritedReported)) problems.add(path, finding);
      inheritedReported ||= inherited;
    }
  }
  reportCycles(read, problems);
}

function placeOf(position: number, member: Path, shaped: ShapedDocument): Path {
  const inherited = member[0] === 'container' && shaped.jobs[position]?.container === undefined;
  return inherited ? ['defaults', ...member] : ['jobs', position, ...member];
}

/** What is wrong with one reference; undefined when nothing is, or nothing can be known. */
function findingOf(
  position: number,
  job: Job,
  reference: JobReference,
  { jobs, positions }: ReadJobs,
): (() => Finding) | undefined {
  const target = positions.get(reference.job);
  if (target === undefined) return () => unknownJob(reference, positions);
  if (target === position) return () => selfReference(job);
  const other = jobs[target];
  if (other !== undefined && reference.member[0] === 'when') {
    const finding = conditionFinding(job, other, reference);
    if (finding !== undefined) return finding;
  }
  if (other === undefined || reference.output === undefined) return undefined;
  if (reference.output === ALL_OUTPUTS) return allOutputsFinding(other, reference);
  if (!Object.hasOwn(other.outputs, reference.output))
    return () => unknownOutput(other, reference.output ?? '');
  // Of a job that goes over a list the number is known only when it runs.
  const elements = other.forEach === undefined ? (other.count ?? 0) : EXPANSION_MAX;
  if (reference.index !== undefined && reference.index >= elements)
    return () => unknownElement(other, reference);
  if (reference.member[0] === 'forEach') return listFinding(other, reference);
  return reference.member[0] === 'container' ? imageFinding(other, reference) : undefined;
}

function unknownJob({ job }: JobReference, positions: ReadonlyMap<string, number>): Finding {
  return {
    problem: `there is no job ${inWords(job)}`,
    advice: `${didYouMean(job, positions.keys())}Name the "id" of a job in this document.`,
  };
}

function selfReference(job: Job): Finding {
  return {
    problem: `the job ${inWords(job.id)} refers to itself, so it would wait for its own end`,
    advice: 'Remove the reference, or name another job.',
  };
}

const OUTPUTS_SHOWN_MAX = 8;

function unknownOutput(other: Job, output: string): Finding {
  const names = Object.keys(other.outputs);
  const more = names.length > OUTPUTS_SHOWN_MAX ? ', …' : '';
  const listed = `It has: ${names.slice(0, OUTPUTS_SHOWN_MAX).join(', ')}${more}.`;
  return {
    problem: `the job ${inWords(other.id)} has no output ${inWords(output)}`,
    advice: `${didYouMean(output, names)}${names.length === 0 ? 'It declares none: add it under its "outputs".' : listed}`,
  };
}

/** `jobs:<id>/*` is for inputs, and for jobs that are many tasks. */
function allOutputsFinding(
  other: Job,
  { member, index }: JobReference,
): (() => Finding) | undefined {
  if (member[0] === 'inputs' && index === undefined && isArray(other)) return undefined;
  const names = Object.keys(other.outputs).slice(0, OUTPUTS_SHOWN_MAX).join(', ');
  return () => ({
    problem: `"*" means all outputs of all elements of an array job as an input, which ${inWords(other.id)} cannot be here`,
    advice: `Name one output${names === '' ? '' : `: ${names}`}.`,
  });
}

/** What keeps the condition from being one. */
function conditionFinding(
  job: Job,
  other: Job,
  { index, output }: JobReference,
): (() => Finding) | undefined {
  if (isArray(other) && index === undefined) {
    const element =
      output === undefined
        ? ''
        : other.forEach === undefined
          ? `, or one element of it: "jobs:${other.id}:0/${output}"`
          : '; which elements it will have is not known before it runs';
    return () => ({
      problem: `${inWords(other.id)} is an array job, so no single task of it says whether this one runs`,
      advice: `Name a job that is a single task, such as one that reads "jobs:${other.id}/*"${element}.`,
    });
  }
  if (output !== undefined && other.outputs[output]?.kind === 'dir') {
    return () => ({
      problem: `the output ${inWords(output)} of ${inWords(other.id)} is a directory, which has no text`,
      advice: 'Name an output that is a file.',
    });
  }
  const again = referencesOf(job).filter(({ job: id }) => id === other.id).length > 1;
  if (job.when?.kind !== 'exit' || !again) return undefined;
  return () => ({
    problem: `this job may run although ${inWords(other.id)} fails, and also needs that it succeeds`,
    advice: 'Leave it out of "inputs" and "after"; the condition alone sets the order.',
  });
}

/** What keeps the output from being gone over. */
function listFinding(other: Job, { index, output }: JobReference): (() => Finding) | undefined {
  if (!isArray(other) || index !== undefined) return undefined;
  return () => ({
    problem: `${inWords(other.id)} is an array job, so it has many outputs ${inWords(output ?? '')} and none of them is chosen`,
    advice: `Write "jobs:${other.id}:<index>/${output}", or let one more job join them.`,
  });
}

function unknownElement(other: Job, { output, index }: JobReference): Finding {
  if (!isArray(other)) {
    return {
      problem: `the job ${inWords(other.id)} is a single task, so it has no element ${index}`,
      advice: `Write "jobs:${other.id}/${output}", or give that job a "count".`,
    };
  }
  return {
    problem: `the array job ${inWords(other.id)} has no element ${index}`,
    advice: `Its elements are numbered from 0 to ${(other.count ?? EXPANSION_MAX) - 1}.`,
  };
}

/** What keeps the output from being used as an image. */
function imageFinding(other: Job, reference: JobReference): (() => Finding) | undefined {
  const { output = '', index } = reference;
  if (other.outputs[output]?.kind === 'dir') {
    return () => ({
      problem: `the output ${inWords(output)} of ${inWords(other.id)} is a directory, and an image must be an archive`,
      advice:
        'Let that job write one file (as "podman save" does), and declare it as "file:/path".',
    });
  }
  if (!isArray(other) || index !== undefined) return undefined;
  return () => ({
    problem: `${inWords(other.id)} is an array job, so it has ${other.count ?? 'many'} outputs ${inWords(output)} and none of them is chosen`,
    advice: `Write "jobs:${other.id}:<index>/${output}" with an index from 0.`,
  });
}

function reportCycles({ shaped, jobs, positions }: ReadJobs, problems: ProblemList): void {
  for (const cycle of findCycles(jobEdges(jobs, positions))) {
    const named = cycle.map((position) => jobs[position]?.id ?? '');
    const [first = 0] = cycle;
    const next = named[1] ?? '';
    const job = jobs[first];
    const member = job === undefined ? [] : memberNaming(job, next);
    problems.add(placeOf(first, member, shaped), () => ({
      problem: `these jobs wait for each other, so none could start: ${inFull([...named, named[0] ?? ''])}`,
      advice: 'Each waits for the one behind its arrow. Remove one of these references.',
    }));
  }
}

function memberNaming(job: Job, other: string): Path {
  for (const reference of referencesOf(job)) if (reference.job === other) return reference.member;
  return [];
}

/** Nobody reads more names than this; the middle of a longer cycle is counted instead. */
const NAMES_SHOWN_MAX = 1_000;

function inFull(names: readonly string[]): string {
  if (names.length <= NAMES_SHOWN_MAX) return names.join(' → ');
  const half = NAMES_SHOWN_MAX / 2;
  const left = names.length - NAMES_SHOWN_MAX;
  const middle = `(${left.toLocaleString('en')} more)`;
  return [...names.slice(0, half), middle, ...names.slice(-half)].join(' → ');
}
