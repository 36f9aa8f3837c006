import {
  type ArtifactRef,
  canonicalJson,
  TREE_ENTRIES_MAX,
  type Tree,
  TreeCheck,
  type TreeEntry,
  type TreeProblem,
  unreachable,
} from '@podmesh/core';
import { artifactIdOf } from './digest-stream.ts';
import { decodeJson } from './json-codec.ts';
import { UnreadableMessageError } from './mesh-errors.ts';

/** How every listing begins: the canonical JSON of a tree. */
export const LISTING_START = Buffer.from('{"entries":[');

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
  const check = new TreeCheck();
  for (const entry of entries) {
    const problem = check.add(entry);
    if (problem !== undefined) {
      throw new UnreadableMessageError(`${name}: ${problemText(problem)}`);
    }
  }
}

function problemText(problem: TreeProblem): string {
  switch (problem.kind) {
    case 'path-outside':
      return `path ${problem.path}`;
    case 'link-outside':
      return `the symbolic link ${problem.path} leads outside, to ${problem.target}`;
    case 'twice':
      return `${problem.path} twice`;
    case 'no-directory':
      return `other entries lie under ${problem.path}, which is no directory`;
    default:
      return unreachable(problem);
  }
}
