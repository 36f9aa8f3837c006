import { renameSync } from 'node:fs';
import { chmod, link, mkdir, rm, symlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type ArtifactId, type Tree, type TreeEntry, unreachable } from '@podmesh/core';
import { namingFullDisk } from './disk-full-error.ts';
import type { DiskStore } from './disk-store.ts';
import { exists } from './file-steps.ts';
import { treeMembers } from './tree-members.ts';

/** What a folder is built from. */
export interface TreeSource {
  readonly store: DiskStore;
  /** The listing behind a tree artifact. */
  readonly readTree: (artifact: ArtifactId) => Promise<Tree>;
  /** Makes a file artifact present in the store. */
  readonly fetch: (artifact: ArtifactId) => Promise<void>;
}

/**
 * Lays out a tree artifact as a folder of hard links into the store: no byte is copied, except for
 * executables, whose mode differs. The folder appears under its name only when it is complete. Throws `DiskFullError`.
 */
export async function buildTreeFolder(
  source: TreeSource,
  artifact: ArtifactId,
  destination: string,
): Promise<void> {
  if (await source.store.hasTree(artifact, destination)) return await useMembers(source, artifact);
  while (!(await isBuilt(source, artifact, destination)));
}

/** False: bytes that may be in it were found to be wrong meanwhile. */
async function isBuilt(
  source: TreeSource,
  artifact: ArtifactId,
  destination: string,
): Promise<boolean> {
  const { store } = source;
  const { asides } = store;
  const temporary = store.temporaryPath();
  try {
    return await namingFullDisk({ path: store.places.root, neededBytes: 0 }, async () => {
      await mkdir(temporary);
      await fill(source, await source.readTree(artifact), temporary);
      await chmod(temporary, 0o755);
      await mkdir(dirname(destination), { recursive: true });
      // Nothing may come between these two: who sets bytes aside looks for finished folders then.
      if (store.asides === asides) renameSync(temporary, destination);
      else await rm(temporary, { recursive: true, force: true });
      return store.asides === asides;
    });
  } catch (error) {
    await rm(temporary, { recursive: true, force: true });
    // Somebody else may have finished the same folder first: as good as ours.
    if (!(await exists(destination))) throw error;
    return true;
  }
}

/**
 * Who reads a folder reads what it is made of: left older than their listing, its files would be evicted before it,
 * and free nothing. Not of every one of a thousand tasks: reading a listing takes as long as it is.
 */
async function useMembers({ store, readTree }: TreeSource, listing: ArtifactId): Promise<void> {
  if (!store.index.isTreeUseNews(listing)) return;
  for (const member of await treeMembers(readTree, listing)) store.index.touch(member);
}

async function fill(source: TreeSource, tree: Tree, folder: string): Promise<void> {
  for (const entry of tree.entries) {
    checkPath(entry.path);
    const path = join(folder, entry.path);
    await mkdir(dirname(path), { recursive: true });
    await place(source, entry, path);
  }
}

async function place(source: TreeSource, entry: TreeEntry, path: string): Promise<void> {
  switch (entry.kind) {
    case 'file': {
      await source.fetch(entry.digest);
      const { store } = source;
      const from = entry.executable
        ? await store.executablePath(entry.digest)
        : store.pathOf(entry.digest);
      await link(from, path);
      return;
    }
    case 'dir':
      await mkdir(path, { recursive: true });
      return;
    case 'symlink':
      await symlink(entry.target, path);
      return;
    case 'tree':
      await mkdir(path, { recursive: true });
      await fill(source, await source.readTree(entry.digest), path);
      return;
    default:
      unreachable(entry);
  }
}

/** A listing comes from another machine: it must not reach outside of its folder. */
function checkPath(path: string): void {
  const parts = path.split('/');
  if (path === '' || parts.some((part) => part === '' || part === '.' || part === '..')) {
    throw new Error(`the tree artifact names a path outside of itself: ${JSON.stringify(path)}`);
  }
}
