import { constants } from 'node:fs';
import { access, stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { type GraphProblem, PROBLEMS_LISTED_MAX } from '@podmesh/core';
import { findingOfProgram, findingOfWheels } from './python-program.ts';

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
  const known = new Map<string, Omit<GraphProblem, 'path'> | undefined>();
  for (const { place, path, what } of localInputs(document)) {
    const key = `${what} ${path}`;
    if (!known.has(key)) known.set(key, await findingOf(resolve(directory, path), what));
    const finding = known.get(key);
    if (finding !== undefined) problems.push({ path: place, ...finding });
    if (problems.length >= PROBLEMS_LISTED_MAX) break;
  }
  return problems;
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

async function findingOf(
  whole: string,
  what: LocalInput['what'],
): Promise<Omit<GraphProblem, 'path'> | undefined> {
  try {
    const found = await stat(whole);
    if (!found.isFile() && !found.isDirectory()) {
      return {
        problem: `${whole} is neither a file nor a directory`,
        advice: 'Name a file or a directory.',
      };
    }
    await access(whole, found.isDirectory() ? constants.R_OK | constants.X_OK : constants.R_OK);
    if (what === 'program') return await findingOfProgram(whole);
    if (what === 'wheels') return await findingOfWheels(whole);
    if (what === 'input' || found.isFile()) return undefined;
    return { problem: `${whole} is a directory`, advice: 'Name a requirements file.' };
  } catch (error) {
    return unreadable(whole, error);
  }
}

function unreadable(path: string, error: unknown): Omit<GraphProblem, 'path'> {
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
