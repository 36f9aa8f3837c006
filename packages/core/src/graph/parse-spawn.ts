import { canonicalJson, type Sha256 } from '../words/digest.ts';
import { type JobId, jobId, type TaskId } from '../words/ids.ts';
import {
  INLINE_VALUE_BYTES_MAX,
  SPAWN_JOBS_MAX,
  SPAWN_KEY_CHARACTERS_MAX,
} from '../words/limits.ts';
import { ok, type Result, refused } from '../words/result.ts';
import { checkImage, type ImageRules } from './check-image.ts';
import { checkReach } from './check-reach.ts';
import { checkReferences } from './check-references.ts';
import { checkShape } from './check-shape.ts';
import type { InputRef, Job } from './graph.ts';
import { referencesOf } from './job-edges.ts';
import { nameJobs } from './name-jobs.ts';
import { normaliseJobs } from './normalise-jobs.ts';
import { type GraphProblem, inWords, ProblemList } from './problem-list.ts';

/** What a task asks for: `jobs` as in a document, and the key by which a repeated attempt finds them again. */
export interface SpawnRequest {
  readonly key: string;
  readonly jobs: readonly unknown[];
}

export interface Spawner {
  readonly task: TaskId;
  /** Its own job: what it spawns runs in the same image, unless it says otherwise. */
  readonly job: Job;
  /** What it spawned before (`spawnedBy`), by their ids in the run. */
  readonly earlier: readonly Job[];
  /** Those that wait for it: its own job, that of the task which spawned it, and so on. */
  readonly line: readonly Job[];
  readonly isOfDocument: ImageRules['isOfDocument'];
  readonly sha256: Sha256;
}

/**
 * Checks and normalises what a task wants to spawn, like the jobs of a document, and gives each job its
 * id in the run. All problems at once, with paths such as `jobs[0].inputs.a`. Equal requests of the same task give equal jobs.
 * A reference `jobs:<id>/…` means a job of the same request, or else one of `earlier`.
 */
export function parseSpawn(
  { key, jobs }: SpawnRequest,
  spawner: Spawner,
): Result<readonly Job[], readonly GraphProblem[]> {
  const document = { version: 1, defaults: { container: INHERITED }, jobs };
  const problems = new ProblemList(document);
  checkKey(key, problems);
  const shaped = jobs.length > SPAWN_JOBS_MAX ? undefined : checkShape(document, problems);
  if (shaped === undefined) {
    if (jobs.length > SPAWN_JOBS_MAX) reportTooMany(jobs.length, problems);
    return refused(problems.toProblems());
  }
  const names = nameJobs(shaped, problems);
  const read = normaliseJobs({ ...shaped, isSpawn: true }, names, spawner.sha256, problems);
  const known = othersNamed(read, names, spawner).map(asTarget);
  checkReferences(
    shaped,
    [...read.map((job, at) => names[at] ?? job?.id), ...known.map(({ id }) => id)],
    [...read, ...known],
    problems,
  );
  for (const [at, job] of read.entries()) {
    if (job !== undefined) checkAlone(job, at, problems);
    if (job !== undefined) checkReach(job, at, spawner.job, problems);
    if (job !== undefined && !isInherited(job)) checkImage(job.container, at, spawner, problems);
    if (job !== undefined) checkLine(job, at, { names, line: spawner.line, problems });
  }
  if (!problems.isEmpty) return refused(problems.toProblems());
  const local = read.filter((job) => job !== undefined);
  const ids = new Map(local.map((job) => [job.id, spawnedId(job.id, key, local.length, spawner)]));
  const named = local.map((job) => inRun(job, ids, spawner));
  checkBytes(named, problems);
  return problems.isEmpty ? ok(named) : refused(problems.toProblems());
}

/** Stands for the image of the task that spawns until the jobs are read. */
const INHERITED = 'podmesh/image-of-the-task-that-spawns';

function isInherited({ container }: Job): boolean {
  return container.kind === 'reference' && container.reference === INHERITED;
}

/**
 * Of the jobs that others may name, those that are named: a task may have spawned thousands, and checking them all at
 * each spawn takes ever longer. All of them when a name is of none: the message tells what comes close.
 */
function othersNamed(
  read: readonly (Job | undefined)[],
  names: readonly (JobId | undefined)[],
  { earlier, line }: Spawner,
): readonly Job[] {
  const own = new Set<string | undefined>(names);
  const others = [...earlier, ...line].filter(({ id }) => !own.has(id));
  const missing = new Set<string>();
  for (const job of read) {
    for (const { job: id } of job === undefined ? [] : referencesOf(job))
      if (!own.has(id)) missing.add(id);
  }
  const named = others.filter(({ id }) => missing.has(id));
  return new Set(named.map(({ id }) => id)).size < missing.size ? others : named;
}

/** A job of the run as far as others may name it: what it names itself was checked long ago. */
function asTarget({ forEach: _, when: __, ...job }: Job): Job {
  return { ...job, container: { kind: 'reference', reference: INHERITED }, inputs: {}, after: [] };
}

function checkKey(key: string, problems: ProblemList): void {
  // A key is shown to people and compared byte by byte: nothing invisible.
  if (/^[^\p{C}]+$/u.test(key) && key.length <= SPAWN_KEY_CHARACTERS_MAX) return;
  problems.add(['key'], () => ({
    problem: `the key ${inWords(key)} cannot be one`,
    advice: `Give a text of 1 to ${SPAWN_KEY_CHARACTERS_MAX} characters without control characters.`,
  }));
}

function reportTooMany(count: number, problems: ProblemList): void {
  problems.add(['jobs'], () => ({
    problem: `these are ${count.toLocaleString('en')} jobs, and one spawn has ${SPAWN_JOBS_MAX.toLocaleString('en')} at most`,
    advice: 'Spawn several times with different keys, or use "count".',
  }));
}

/** What only a document can have: there is no publisher whose files could be meant, and a task can read a list itself. */
function checkAlone(job: Job, at: number, problems: ProblemList): void {
  if (job.forEach !== undefined) {
    problems.add(['jobs', at, 'forEach'], () => ({
      problem: 'a sub-task cannot have "forEach"',
      advice:
        'Let the task that spawns read the list, and spawn a job for each element, or use "count".',
    }));
  }
  if (job.when !== undefined) {
    problems.add(['jobs', at, 'when'], () => ({
      problem: 'a sub-task cannot have "when"',
      advice: 'Let the task that spawns look, and spawn only what is needed.',
    }));
  }
  for (const [name, input] of Object.entries(job.inputs)) {
    if (input.kind !== 'file') continue;
    problems.add(['jobs', at, 'inputs', name], () => ({
      problem: 'a sub-task has no files beside its document',
      advice: 'Store the file as an artifact first, and name it by its digest "sha256:…".',
    }));
  }
}

function checkLine(
  job: Job,
  at: number,
  {
    names,
    line,
    problems,
  }: { names: readonly (JobId | undefined)[]; line: readonly Job[]; problems: ProblemList },
): void {
  for (const { job: other, member } of referencesOf(job)) {
    if (names.some((name) => name === other) || !line.some(({ id }) => id === other)) continue;
    problems.add(['jobs', at, ...member], () => ({
      problem: `a sub-task cannot wait for ${other}, which goes on only when its sub-tasks have ended`,
      advice: 'Give it what it needs as an artifact, or as the output of another sub-task.',
    }));
  }
}

function checkBytes(jobs: readonly Job[], problems: ProblemList): void {
  const characters = JSON.stringify(jobs).length;
  if (characters <= INLINE_VALUE_BYTES_MAX) return;
  problems.add(['jobs'], () => ({
    problem: `these jobs take ${characters.toLocaleString('en')} characters, and one spawn has ${INLINE_VALUE_BYTES_MAX.toLocaleString('en')} at most`,
    advice: 'Spawn several times with different keys, or give what is long as an artifact.',
  }));
}

/** With the ids that the run knows, and the image of the task where none was named. */
function inRun(job: Job, ids: ReadonlyMap<JobId, JobId>, { job: above }: Spawner): Job {
  const rename = (id: JobId): JobId => ids.get(id) ?? id;
  const inputs: Record<string, InputRef> = {};
  for (const [name, input] of Object.entries(job.inputs)) {
    inputs[name] = input.kind === 'output' ? { ...input, job: rename(input.job) } : input;
  }
  const { container } = job;
  return {
    ...job,
    id: rename(job.id),
    container: isInherited(job)
      ? above.container
      : container.kind === 'output'
        ? { ...container, job: rename(container.job) }
        : container,
    inputs,
    after: job.after.map(rename),
  };
}

const ID_CHARACTERS_MAX = 64;
const HASH_CHARACTERS = 8;

/**
 * `<parent>--<key>`, and `--<id>` where there are several jobs: readable where names are short and plain; else cut
 * and told apart by a hash of all three.
 */
function spawnedId(id: JobId, key: string, jobCount: number, { task, sha256 }: Spawner): JobId {
  const written = [task.replace(':', '--'), key, ...(jobCount === 1 ? [] : [id])].join('--');
  const plain = written.replaceAll(/[^A-Za-z0-9_-]+/g, '-');
  if (plain === written && plain.length <= ID_CHARACTERS_MAX) return jobId(plain);
  const hash = sha256(canonicalJson([task, key, id])).slice(0, HASH_CHARACTERS);
  return jobId(`${plain.slice(0, ID_CHARACTERS_MAX - HASH_CHARACTERS - 1)}-${hash}`);
}
