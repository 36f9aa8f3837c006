import { constants } from 'node:fs';
import { access, stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { type Finding, type GraphProblem, PROBLEMS_LISTED_MAX, unreachable } from '@podmesh/core';
import { findingsOfDirectory } from './directory-input.ts';
import { findingOfProgram, findingOfWheels } from './python-program.ts';
import { findingsOfRequirements } from './requirements-file.ts';

/** A path of the publisher in a document, which nobody has checked yet. */
interface LocalInput {
  /** In the document, as `jobs[2].inputs.in1`. */
  readonly place: string;
  /** As written, relative to the document. */
  readonly path: string;
  readonly what: 'input' | 'program' | 'requirements' | 'wheels';
}

/** Every path in the document that cannot be uploaded, or is not what it has to be, whatever else is wrong with the document. */
export async function checkLocalInputs(
  document: unknown,
  directory: string,
): Promise<readonly GraphProblem[]> {
  const problems: GraphProblem[] = [];
  const known = new Map<string, readonly Finding[]>();
  for (const { place, path, what } of localInputs(document)) {
    const key = `${what} ${path}`;
    const findings = known.get(key) ?? (await findingsOf(resolve(directory, path), what));
    known.set(key, findings);
    problems.push(...findings.map((finding) => ({ path: place, ...finding })));
    if (problems.length >= PROBLEMS_LISTED_MAX) break;
  }
  return problems.slice(0, PROBLEMS_LISTED_MAX);
}

/** Found in the raw document, so that a mistake elsewhere does not hide a missing file. */
function* localInputs(document: unknown): Iterable<LocalInput> {
  const jobs = memberOf(document, 'jobs');
  if (!Array.isArray(jobs)) return;
  for (const [position, job] of jobs.entries()) {
    yield* programInputs(position, memberOf(job, 'job'));
    const inputs = memberOf(job, 'inputs');
    if (typeof inputs !== 'object' || inputs === null || Array.isArray(inputs)) continue;
    for (const [name, value] of Object.entries(inputs)) {
      if (typeof value !== 'string' || !value.startsWith('file:')) continue;
      const path = value.slice('file:'.length);
      if (isUsable(path)) yield { place: inputPlace(position, name), path, what: 'input' };
    }
  }
}

function* programInputs(position: number, program: unknown): Iterable<LocalInput> {
  const members = [
    ['python', 'program'],
    ['requirements', 'requirements'],
    ['wheels', 'wheels'],
  ] as const;
  for (const [name, what] of members) {
    const path = memberOf(program, name);
    if (typeof path !== 'string' || !isUsable(path)) continue;
    yield { place: `jobs[${position}].job.${name}`, path, what };
  }
}

/** What `parseGraph` refuses by itself is not looked for. */
function isUsable(path: string): boolean {
  return /^[^/]/.test(path) && !path.includes('\0');
}

/** Where an input stands, in the words of `parseGraph`. */
export function inputPlace(position: number, name: string): string {
  const plain = /^[A-Za-z_$][\w$-]{0,63}$/.test(name);
  return `jobs[${position}].inputs${plain ? `.${name}` : `[${JSON.stringify(name)}]`}`;
}

async function findingsOf(whole: string, what: LocalInput['what']): Promise<readonly Finding[]> {
  try {
    const found = await stat(whole);
    if (!found.isFile() && !found.isDirectory()) {
      const problem = `${whole} is neither a file nor a directory`;
      return [{ problem, advice: 'Name a file or a directory.' }];
    }
    await access(whole, found.isDirectory() ? constants.R_OK | constants.X_OK : constants.R_OK);
    return await (found.isDirectory() ? inDirectory(whole, what) : inFile(whole, what));
  } catch (error) {
    return [unreadable(whole, error)];
  }
}

async function inDirectory(whole: string, what: LocalInput['what']): Promise<readonly Finding[]> {
  switch (what) {
    case 'program':
      return listOf(await findingOfProgram(whole));
    case 'requirements':
      return [{ problem: `${whole} is a directory`, advice: 'Name a requirements file.' }];
    case 'wheels':
      return [...listOf(await findingOfWheels(whole)), ...(await findingsOfDirectory(whole))];
    case 'input':
      return findingsOfDirectory(whole);
    default:
      return unreachable(what);
  }
}

async function inFile(whole: string, what: LocalInput['what']): Promise<readonly Finding[]> {
  switch (what) {
    case 'program':
      return listOf(await findingOfProgram(whole));
    case 'requirements':
      return findingsOfRequirements(whole);
    case 'wheels':
      return listOf(await findingOfWheels(whole));
    case 'input':
      return [];
    default:
      return unreachable(what);
  }
}

const listOf = (finding: Finding | undefined): readonly Finding[] =>
  finding === undefined ? [] : [finding];

function unreadable(path: string, error: unknown): Finding {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  if (code === 'ENOENT' || code === 'ENOTDIR') {
    return {
      problem: `there is no ${path}`,
      advice: 'Paths are relative to the document (of standard input: to the current directory).',
    };
  }
  const message = error instanceof Error ? error.message : String(error);
  return { problem: `${path} cannot be read: ${message}`, advice: 'Make it readable for you.' };
}

function memberOf(value: unknown, name: string): unknown {
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return undefined;
  return (value as Record<string, unknown>)[name];
}
