import { cp, mkdir, mkdtemp, readdir, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import type { GraphProblem } from '@podmesh/core';
import { readZip, ZipRefusal } from './read-zip.ts';

type Finding = Omit<GraphProblem, 'path'>;

const MAIN = 'main.py';
/** What Python leaves beside programs: it differs from run to run, and the task's Python makes its own. */
const LEFTOVERS = '__pycache__';

/** What keeps a zip file or directory from being a Python job; undefined when nothing does. */
export async function findingOfProgram(path: string): Promise<Finding | undefined> {
  if ((await stat(path)).isDirectory()) return findingOfDirectory(path);
  try {
    return await findingOfZip(path);
  } catch (error) {
    if (!(error instanceof ZipRefusal)) throw error;
    const isScript = path.endsWith('.py');
    return {
      problem: `the zip file ${path} ${error.message}`,
      advice: isScript ? `Name the directory that ${basename(path)} lies in.` : error.advice,
    };
  }
}

async function findingOfDirectory(path: string): Promise<Finding | undefined> {
  const main = await stat(join(path, MAIN)).catch(() => undefined);
  return main?.isFile() === true ? undefined : missingMain(path, undefined);
}

/** Reads all of it, so that what is broken is known before anything is published. */
async function findingOfZip(path: string): Promise<Finding | undefined> {
  let found = false;
  let deeper: string | undefined;
  for await (const entry of readZip(path)) {
    if (entry.kind === 'dir') continue;
    found ||= entry.path === MAIN;
    if (basename(entry.path) === MAIN) deeper ??= entry.path;
    if (entry.kind === 'file') for await (const piece of entry.content) void piece;
  }
  return found ? undefined : missingMain(path, deeper);
}

function missingMain(path: string, deeper: string | undefined): Finding {
  const advice =
    deeper === undefined
      ? 'A Python job runs the function main() of main.py: add that file.'
      : `It has ${deeper}: zip the content of that directory, not the directory.`;
  return { problem: `there is no ${MAIN} at the top of ${path}`, advice };
}

/** What keeps a directory from being one of wheels; undefined when nothing does. */
export async function findingOfWheels(path: string): Promise<Finding | undefined> {
  const names = (await stat(path)).isDirectory() ? await readdir(path) : undefined;
  if (names?.some((name) => name.endsWith('.whl')) === true) return undefined;
  const what = names === undefined ? 'is not a directory' : 'holds no .whl file';
  const advice = 'Fill a directory with: pip download --dest wheels -r requirements.txt';
  return { problem: `${path} ${what}`, advice };
}

/** Lays the program out in a folder of its own, which is gone when `use` is done. */
export async function withProgram<T>(
  path: string,
  use: (folder: string) => Promise<T>,
): Promise<T> {
  const root = await mkdtemp(join(tmpdir(), 'podmesh-program-'));
  const folder = join(root, 'job');
  try {
    if ((await stat(path)).isDirectory()) await copyProgram(path, folder);
    else await unpack(path, folder);
    return await use(folder);
  } finally {
    await rm(root, { recursive: true, force: true });
  }
}

async function copyProgram(from: string, folder: string): Promise<void> {
  const filter = (path: string): boolean => basename(path) !== LEFTOVERS;
  // With a slash: a link to the directory is followed, links in it stay links.
  await cp(`${from}/`, folder, { recursive: true, verbatimSymlinks: true, filter });
}

async function unpack(path: string, folder: string): Promise<void> {
  await mkdir(folder);
  const links: { readonly at: string; readonly target: string }[] = [];
  for await (const entry of readZip(path)) {
    const at = join(folder, entry.path);
    if (entry.kind === 'dir') {
      await mkdir(at, { recursive: true });
      continue;
    }
    await mkdir(dirname(at), { recursive: true });
    if (entry.kind === 'symlink') links.push({ at, target: entry.target });
    else await writeFile(at, entry.content, { flag: 'wx', mode: entry.executable ? 0o755 : 0o644 });
  }
  // Links come last: nothing is ever written through one.
  for (const { at, target } of links) await symlink(target, at);
}
