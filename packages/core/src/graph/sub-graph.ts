import { ok, type Result, refused } from '../words/result.ts';
import type { GraphProblem } from './problem-list.ts';

/** The jobs of a file as they stand in the document that includes it. */
export interface SubGraph {
  /** Id of the job that named the file. */
  readonly id: string;
  readonly jobs: readonly unknown[];
  /** What it exports, as references to its jobs by their new ids. */
  readonly outputs: Readonly<Record<string, string>>;
  /** New ids of those that no other of its jobs waits for: when they are done, it is. */
  readonly last: readonly string[];
}

/** A job that is a graph, and the document behind it, whose own `graph` jobs are inlined already. */
export interface Inclusion {
  readonly outer: unknown;
  readonly position: number;
  readonly document: unknown;
  /** A path as the file says it, as the including document would. */
  readonly toOuter: (path: string) => string;
}

type Members = Readonly<Record<string, unknown>>;

/** What a job that is a graph may say beside that. */
const OUTER_MEMBERS: readonly string[] = ['id', 'graph', 'inputs', 'after'];
/** What a file may say. */
const FILE_MEMBERS: readonly string[] = [
  '$schema',
  'version',
  'name',
  'defaults',
  'jobs',
  'outputs',
];
/** Members of `defaults` that a job takes when it does not say them itself. */
const INHERITED = ['container', 'command', 'net', 'timeout', 'retries', 'runtime', 'cache'];

/**
 * Renames the jobs of a file to `<outer>--<inner>`, gives them the file's own `defaults`, and puts what the outer
 * job passes in the place of `inputs:<name>`. What is wrong with single jobs is left for `parseGraph`.
 */
export function subGraphJobs(inclusion: Inclusion): Result<SubGraph, readonly GraphProblem[]> {
  const outer = mapOf(inclusion.outer);
  const document = mapOf(inclusion.document);
  const problems: GraphProblem[] = [
    ...unknown(outer, OUTER_MEMBERS, 'a job that is a graph', ''),
    ...unknown(document, FILE_MEMBERS, 'a document', ''),
  ];
  const id = typeof outer.id === 'string' ? outer.id : `job-${inclusion.position + 1}`;
  const passed = mapOf(outer.inputs);
  const inner = Array.isArray(document.jobs) ? document.jobs.map(mapOf) : [];
  const rename = (written: string) => `${id}--${written}`;
  const read = (text: string, path: string): string => {
    if (text.startsWith('jobs:')) return `jobs:${rename(text.slice('jobs:'.length))}`;
    if (text.startsWith('file:')) return `file:${inclusion.toOuter(text.slice('file:'.length))}`;
    if (!text.startsWith('inputs:')) return text;
    const name = text.slice('inputs:'.length);
    const given = Object.hasOwn(passed, name) ? passed[name] : undefined;
    if (typeof given === 'string') return given;
    const listed = Object.keys(passed).join(', ');
    const advice = `Pass it under the "inputs" of ${id}${listed === '' ? '' : `, which has: ${listed}`}.`;
    problems.push({ path, problem: `${id} is given no input "${name}"`, advice });
    return text;
  };
  const after = Array.isArray(outer.after) ? outer.after : [];
  const defaults = mapOf(document.defaults);
  const jobs = inner.map((job, at) => {
    const named = { ...inherit(job, defaults), id: rename(idOf(job, at)) };
    const moved = mapReferences(named, (text, member) => read(text, `jobs[${at}].${member}`));
    const own = Array.isArray(job.after) ? job.after.map((one) => rename(String(one))) : [];
    const waits = [...own, ...after];
    const program = mapOf(job.job);
    const when = mapOf(moved.when);
    return {
      ...moved,
      ...(typeof when.job === 'string' ? { when: { ...when, job: rename(when.job) } } : {}),
      ...(waits.length === 0 ? {} : { after: waits }),
      ...(job.job === undefined ? {} : { job: movedProgram(program, inclusion.toOuter) }),
    };
  });
  const outputs: Record<string, string> = {};
  for (const [name, text] of Object.entries(mapOf(document.outputs))) {
    if (typeof text === 'string' && text.startsWith('jobs:'))
      outputs[name] = read(text, `outputs.${name}`);
    else {
      const advice = 'Write "jobs:<id>/<output>" of a job of that file.';
      problems.push({
        path: `outputs.${name}`,
        problem: 'this exports no output of a job',
        advice,
      });
    }
  }
  if (problems.length > 0) return refused(problems);
  return ok({ id, jobs, outputs, last: lastOf(jobs) });
}

/** Puts what a graph exports in the place of `jobs:<graph>/<name>`, and its last jobs in that of `after`. */
export function subGraphReferences(
  jobs: readonly unknown[],
  graphs: ReadonlyMap<string, SubGraph>,
): Result<readonly unknown[], readonly GraphProblem[]> {
  const problems: GraphProblem[] = [];
  const made = jobs.map((job, at) => {
    if (typeof job !== 'object' || job === null) return job;
    const moved = mapReferences(mapOf(job), (text, member) => {
      const [, id = '', name = ''] = /^jobs:([^:/]+)\/(.+)$/s.exec(text) ?? [];
      const graph = graphs.get(id);
      if (graph === undefined) return text;
      const exported = Object.hasOwn(graph.outputs, name) ? graph.outputs[name] : undefined;
      if (exported !== undefined) return exported;
      const names = Object.keys(graph.outputs).join(', ');
      const advice =
        names === ''
          ? 'Add "outputs" to that file: {"<name>": "jobs:<id>/<output>"}.'
          : `It has: ${names}.`;
      problems.push({
        path: `jobs[${at}].${member}`,
        problem: `the graph ${id} exports no "${name}"`,
        advice,
      });
      return text;
    });
    if (!Array.isArray(moved.after)) return moved;
    const after = moved.after.flatMap((one) => graphs.get(String(one))?.last ?? [one]);
    return { ...moved, after: [...new Set(after)] };
  });
  return problems.length > 0 ? refused(problems) : ok(made);
}

function unknown(
  said: Members,
  allowed: readonly string[],
  what: string,
  path: string,
): readonly GraphProblem[] {
  return Object.keys(said)
    .filter((name) => !allowed.includes(name))
    .map((name) => ({
      path: `${path}${name}`,
      problem: `${what} has no member "${name}"`,
      advice: `It may have: ${allowed.join(', ')}.`,
    }));
}

function idOf(job: Members, at: number): string {
  return typeof job.id === 'string' ? job.id : `job-${at + 1}`;
}

/** What the file's `defaults` say, said by the job itself: the including document has defaults of its own. */
function inherit(job: Members, defaults: Members): Members {
  const taken: Record<string, unknown> = {};
  for (const name of INHERITED) {
    // A program brings its own image and command.
    if (job.job !== undefined && (name === 'container' || name === 'command')) continue;
    if (job[name] === undefined && defaults[name] !== undefined) taken[name] = defaults[name];
  }
  for (const name of ['env', 'needs']) {
    if (defaults[name] === undefined) continue;
    taken[name] = { ...variablesOf(defaults[name]), ...variablesOf(job[name]) };
  }
  return { ...job, ...taken };
}

/** A map, also of a list such as `["KEY=value"]`. */
function variablesOf(said: unknown): Members {
  if (!Array.isArray(said)) return mapOf(said);
  return Object.fromEntries(
    said.map((one) => {
      const [name = '', ...rest] = String(one).split('=');
      return [name, rest.join('=')];
    }),
  );
}

/** Every place of a job in which an output of another one may stand. */
function mapReferences(job: Members, change: (text: string, member: string) => string): Members {
  const made: Record<string, unknown> = { ...job };
  if (typeof job.container === 'string') made.container = change(job.container, 'container');
  if (typeof job.forEach === 'string') made.forEach = change(job.forEach, 'forEach');
  else if (job.forEach !== undefined) {
    const { over } = mapOf(job.forEach);
    if (typeof over === 'string') {
      made.forEach = { ...mapOf(job.forEach), over: change(over, 'forEach.over') };
    }
  }
  const when = mapOf(job.when);
  if (typeof when.output === 'string') {
    made.when = { ...when, output: change(when.output, 'when.output') };
  }
  const { inputs } = job;
  if (typeof inputs === 'object' && inputs !== null && !Array.isArray(inputs)) {
    made.inputs = Object.fromEntries(
      Object.entries(inputs).map(([name, text]) => [
        name,
        typeof text === 'string' ? change(text, `inputs.${name}`) : text,
      ]),
    );
  }
  return made;
}

function movedProgram(program: Members, toOuter: (path: string) => string): Members {
  const made: Record<string, unknown> = { ...program };
  for (const name of ['python', 'requirements', 'wheels']) {
    const path = program[name];
    if (typeof path === 'string') made[name] = toOuter(path);
  }
  return made;
}

function lastOf(jobs: readonly Members[]): readonly string[] {
  const awaited = new Set<string>();
  for (const job of jobs) {
    mapReferences(job, (text) => {
      const [, id] = /^jobs:([^:/]+)/.exec(text) ?? [];
      if (id !== undefined) awaited.add(id);
      return text;
    });
    if (Array.isArray(job.after)) for (const id of job.after) awaited.add(String(id));
  }
  return jobs.map(({ id }) => String(id)).filter((id) => !awaited.has(id));
}

function mapOf(value: unknown): Members {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Members)
    : {};
}
