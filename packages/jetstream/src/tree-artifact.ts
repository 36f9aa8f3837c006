import {
  type ArtifactRef,
  canonicalJson,
  TREE_ENTRIES_MAX,
  type Tree,
  type TreeEntry,
} from '@podmesh/core';
import { artifactIdOf } from './digest-stream.ts';
import { decodeJson } from './json-codec.ts';
import { UnreadableMessageError } from './mesh-errors.ts';

export interface TreeArtifact {
  readonly ref: ArtifactRef;
  readonly bytes: Uint8Array;
}

/**
 * The one listing of a directory: sorted, without directories that other paths imply, so that equal
 * content has one digest. Throws `UnreadableMessageError` for entries that nobody could extract.
 */
export function makeTree(entries: readonly TreeEntry[]): TreeArtifact {
  const implied = new Set<string>();
  for (const { path } of entries)
    for (let at = path.lastIndexOf('/'); at > 0; at = path.lastIndexOf('/', at - 1))
      implied.add(path.slice(0, at));
  const kept = entries.filter((entry) => entry.kind !== 'dir' || !implied.has(entry.path));
  const sorted = [...kept].sort((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0));
  checkEntries(sorted, 'directory');
  const tree: Tree = { podmeshTree: 1, entries: sorted };
  const bytes = new TextEncoder().encode(canonicalJson(tree));
  return { ref: { digest: artifactIdOf(bytes), kind: 'dir', bytes: bytes.length }, bytes };
}

/** Parses a listing and refuses one that would reach outside of its directory, or write a path twice. */
export function parseTree(bytes: Uint8Array, name: string): Tree {
  const tree = decodeJson<Partial<Tree>>(bytes, name);
  if (tree.podmeshTree !== 1 || !Array.isArray(tree.entries))
    throw new UnreadableMessageError(`${name}: not the listing of a directory`);
  if (tree.entries.length > TREE_ENTRIES_MAX)
    throw new UnreadableMessageError(`${name}: more than ${TREE_ENTRIES_MAX} entries`);
  checkEntries(tree.entries, name);
  return { podmeshTree: 1, entries: tree.entries };
}

function checkEntries(entries: readonly TreeEntry[], name: string): void {
  const leaves = new Set<string>();
  for (const entry of entries) {
    if (!isInside(entry.path)) throw new UnreadableMessageError(`${name}: path ${entry.path}`);
    if (entry.kind === 'symlink' && !staysInside(entry.path, entry.target))
      throw new UnreadableMessageError(
        `${name}: the symbolic link ${entry.path} leads outside, to ${entry.target}`,
      );
    if (leaves.has(entry.path)) throw new UnreadableMessageError(`${name}: ${entry.path} twice`);
    if (entry.kind !== 'dir') leaves.add(entry.path);
  }
  for (const { path } of entries)
    for (let at = path.lastIndexOf('/'); at > 0; at = path.lastIndexOf('/', at - 1))
      if (leaves.has(path.slice(0, at)))
        throw new UnreadableMessageError(`${name}: ${path} lies under what is no directory`);
}

/** Relative, without empty, `.` or `..` parts. */
function isInside(path: unknown): boolean {
  return (
    typeof path === 'string' &&
    !path.includes('\0') &&
    path.split('/').every((part) => part !== '' && part !== '.' && part !== '..')
  );
}

/**
 * `..` may only lead, and not above the root: there the parents are real directories, so counting is
 * exact. Behind a name, which may itself be a link, `..` could mean anything.
 */
function staysInside(path: string, target: unknown): boolean {
  if (typeof target !== 'string' || target === '' || target.includes('\0')) return false;
  if (target.startsWith('/')) return false;
  const parts = target.split('/').filter((part) => part !== '' && part !== '.');
  const climbs = parts.findIndex((part) => part !== '..');
  const up = climbs === -1 ? parts.length : climbs;
  return up <= path.split('/').length - 1 && !parts.slice(up).includes('..');
}
