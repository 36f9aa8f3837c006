import { constants } from 'node:fs';
import { access, stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { type GraphProblem, PROBLEMS_LISTED_MAX } from '@podmesh/core';

/** A `file:` input of a document that nobody has checked yet. */
interface LocalInput {
  /** In the document, as `jobs[2].inputs.in1`. */
  readonly place: string;
  /** As written, relative to the document. */
  readonly path: string;
}

/** Every local input of the document that cannot be uploaded, whatever else is wrong with the document. */
export async function checkLocalInputs(
  document: unknown,
  directory: string,
): Promise<readonly GraphProblem[]> {
  const problems: GraphProblem[] = [];
  const known = new Map<string, Omit<GraphProblem, 'path'> | undefined>();
  for (const { place, path } of localInputs(document)) {
    if (!known.has(path)) known.set(path, await findingOf(path, directory));
    const finding = known.get(path);
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
    const inputs = memberOf(job, 'inputs');
    if (typeof inputs !== 'object' || inputs === null || Array.isArray(inputs)) continue;
    for (const [name, value] of Object.entries(inputs)) {
      if (typeof value !== 'string' || !isUsable(value)) continue;
      const path = value.slice('file:'.length);
      yield { place: inputPlace(position, name), path };
    }
  }
}

/** What `parseGraph` refuses by itself is not looked for. */
function isUsable(value: string): boolean {
  return /^file:[^/]/.test(value) && !value.includes('\0');
}

/** Where an input stands, in the words of `parseGraph`. */
export function inputPlace(position: number, name: string): string {
  const plain = /^[A-Za-z_$][\w$-]{0,63}$/.test(name);
  return `jobs[${position}].inputs${plain ? `.${name}` : `[${JSON.stringify(name)}]`}`;
}

async function findingOf(
  path: string,
  directory: string,
): Promise<Omit<GraphProblem, 'path'> | undefined> {
  const whole = resolve(directory, path);
  try {
    const found = await stat(whole);
    if (!found.isFile() && !found.isDirectory()) {
      return {
        problem: `${whole} is neither a file nor a directory`,
        advice: 'Name a file or a directory.',
      };
    }
    await access(whole, found.isDirectory() ? constants.R_OK | constants.X_OK : constants.R_OK);
    return undefined;
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
