import type { Dirent } from 'node:fs';
import { readdir, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import { type Finding, TREE_ENTRIES_MAX, TreeCheck } from '@podmesh/core';
import { boundedFindings } from './bounded-findings.ts';

/**
 * What keeps a directory from being stored as an artifact: the rules of `storePath`, told before anything is
 * uploaded, each with the path of the entry. A link to something missing inside is kept as it is, like any other.
 */
export async function findingsOfDirectory(root: string): Promise<readonly Finding[]> {
  const found: Finding[] = [];
  let entries = 0;
  const open = [''];
  for (let folder = open.pop(); folder !== undefined; folder = open.pop()) {
    for (const entry of await readdir(join(root, folder), { withFileTypes: true })) {
      const path = folder === '' ? entry.name : `${folder}/${entry.name}`;
      entries += 1;
      if (entries > TREE_ENTRIES_MAX) return [tooMany(root)];
      if (entry.isDirectory()) open.push(path);
      const finding = await findingOfEntry(root, path, entry);
      if (finding !== undefined) found.push(finding);
    }
  }
  // The order of a directory is nobody's; these texts begin alike and differ by their paths.
  found.sort((a, b) => (a.problem < b.problem ? -1 : 1));
  return boundedFindings(found, root);
}

async function findingOfEntry(
  root: string,
  path: string,
  entry: Dirent,
): Promise<Finding | undefined> {
  if (entry.isFile() || entry.isDirectory()) return undefined;
  if (!entry.isSymbolicLink()) {
    const problem = `the directory ${root} has something that is neither a file, a directory nor a link: ${path}`;
    return { problem, advice: 'Leave it out.' };
  }
  const target = await readlink(join(root, path));
  const problem = new TreeCheck().add({ kind: 'symlink', path, target });
  return problem === undefined ? undefined : leadsOutside(root, path, target);
}

function leadsOutside(root: string, path: string, target: string): Finding {
  return {
    problem: `the directory ${root} has a link that leads outside of it, or may: ${path}, a link to ${target}`,
    advice:
      'Replace the link by what it leads to ("cp -rL" copies so), leave it out, or give that as an input of its own.',
  };
}

function tooMany(root: string): Finding {
  const most = TREE_ENTRIES_MAX.toLocaleString('en');
  return {
    problem: `the directory ${root} has more than ${most} entries`,
    advice: 'Pack it into an archive, and name that file.',
  };
}
