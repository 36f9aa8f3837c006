import { constants, type Stats } from 'node:fs';
import { access, lstat, readdir, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import { TreeCheck } from '@podmesh/core';
import {
  PROGRAM_BYTES_MAX,
  PROGRAM_ENTRIES_MAX,
  ProgramRefusal,
  refusalOfPlace,
  tooLarge,
} from './program-refusal.ts';

/** What Python leaves beside programs: it differs from run to run, and the task's Python makes its own. */
const LEFTOVERS = '__pycache__';

/** An entry of a directory with a program; a directory comes before what is in it. */
export type ProgramEntry =
  | { readonly kind: 'file' | 'dir'; readonly path: string }
  | { readonly kind: 'symlink'; readonly path: string; readonly target: string };

/** All that belongs to a program; throws a `ProgramRefusal` when it is too much, or no machine could lay it out. */
export async function listProgram(root: string): Promise<readonly ProgramEntry[]> {
  const found: ProgramEntry[] = [];
  const check = new TreeCheck();
  let bytes = 0;
  const open = [''];
  for (let folder = open.pop(); folder !== undefined; folder = open.pop()) {
    const names = await readdir(join(root, folder));
    for (const name of names.filter((one) => one !== LEFTOVERS)) {
      const path = folder === '' ? name : `${folder}/${name}`;
      const stats = await lstat(join(root, path));
      const entry = await describe(root, path, stats);
      if (entry.kind === 'file') bytes += stats.size;
      if (bytes > PROGRAM_BYTES_MAX || found.length >= PROGRAM_ENTRIES_MAX) throw tooLarge();
      const problem = check.add(entry);
      if (problem !== undefined) throw refusalOfPlace(problem);
      found.push(entry);
      if (entry.kind === 'dir') open.push(path);
    }
  }
  return found;
}

async function describe(root: string, path: string, stats: Stats): Promise<ProgramEntry> {
  const from = join(root, path);
  if (stats.isSymbolicLink()) return { kind: 'symlink', path, target: await readlink(from) };
  if (!stats.isDirectory() && !stats.isFile()) {
    throw new ProgramRefusal(
      `has something that is neither a file, a directory nor a link: ${path}`,
      'Leave it out.',
    );
  }
  await access(from, stats.isFile() ? constants.R_OK : constants.R_OK | constants.X_OK);
  return { kind: stats.isFile() ? 'file' : 'dir', path };
}
