import { copyFile, mkdir, mkdtemp, readdir, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import type { GraphProblem } from '@podmesh/core';
import { listProgram } from './list-program.ts';
import { ProgramRefusal } from './program-refusal.ts';
import { readZip } from './read-zip.ts';

type Finding = Omit<GraphProblem, 'path'>;

const MAIN = 'main.py';

/** What keeps a zip file or directory from being a Python job; undefined when nothing does. */
export async function findingOfProgram(path: string): Promise<Finding | undefined> {
  const isDirectory = (await stat(path)).isDirectory();
  try {
    return await (isDirectory ? findingOfDirectory(path) : findingOfZip(path));
  } catch (error) {
    if (!(error instanceof ProgramRefusal)) throw error;
    const isScript = !isDirectory && path.endsWith('.py');
    return {
      problem: `the ${isDirectory ? 'directory' : 'zip file'} ${path} ${error.message}`,
      advice: isScript ? `Name the directory that ${basename(path)} lies in.` : error.advice,
    };
  }
}

async function findingOfDirectory(path: string): Promise<Finding | undefined> {
  const main = await stat(join(path, MAIN)).catch(() => undefined);
  if (main?.isFile() !== true) return missingMain(path, undefined);
  await listProgram(path);
  return undefined;
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
  const entries = await listProgram(from);
  await mkdir(folder);
  for (const entry of entries) {
    const at = join(folder, entry.path);
    if (entry.kind === 'dir') await mkdir(at);
    else if (entry.kind === 'symlink') await symlink(entry.target, at);
    else await copyFile(join(from, entry.path), at);
  }
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
