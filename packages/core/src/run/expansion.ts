import type { ArtifactRef, Tree, TreeEntry } from '../artifact/artifact.ts';
import type { ForEach } from '../graph/graph.ts';
import type { Sequence } from '../ports.ts';
import { EXPANSION_MAX, INLINE_VALUE_BYTES_MAX } from '../words/limits.ts';
import { ok, type Result, refused } from '../words/result.ts';
import { assert, unreachable } from '../words/unreachable.ts';
import type { Element } from './run-event.ts';
import type { RunState } from './run-state.ts';

export interface ExpansionSource {
  readonly artifact: ArtifactRef;
  readonly forEach: ForEach;
  /** Where `job-expanded` has to land. */
  readonly behind: Sequence;
}

/** What a `forEach` job goes over, as its producer left it. Only while the task stands for its job, and is ready. */
export function expansionSource(state: RunState, task: number): ExpansionSource | undefined {
  const forEach = state.graph.jobs[state.index.jobOf(task)]?.forEach;
  const now = state.tasks[task];
  if (forEach === undefined || now?.kind !== 'ready') return undefined;
  const position = state.index.positionOf(forEach.job);
  const producer = state.tasks[state.index.firstTaskOf(position) + (forEach.index ?? 0)];
  assert(
    producer?.kind === 'succeeded',
    `${forEach.job} is not done, and what it left is gone over`,
  );
  const artifact = producer.result.outputs[forEach.output];
  assert(artifact !== undefined, `${forEach.job} did not record its output ${forEach.output}`);
  return { artifact, forEach, behind: now.sequence };
}

/** An entry of a directory: a file, a stored directory, or one that has to be stored first. */
export type ListedEntry =
  | { readonly kind: 'stored'; readonly name: string; readonly artifact: ArtifactRef }
  | { readonly kind: 'folder'; readonly name: string; readonly tree: Tree };

/** The entries of a directory, sorted by the UTF-8 bytes of their names; or what keeps them from being gone over. */
export function listEntries(tree: Tree): Result<readonly ListedEntry[], string> {
  const folders = new Map<string, TreeEntry[]>();
  const entries = new Map<string, ListedEntry>();
  for (const entry of tree.entries) {
    const slash = entry.path.indexOf('/');
    const name = slash < 0 ? entry.path : entry.path.slice(0, slash);
    if (slash >= 0 || entry.kind === 'dir') {
      const below = folders.get(name) ?? [];
      folders.set(name, below);
      if (slash >= 0) below.push({ ...entry, path: entry.path.slice(slash + 1) });
    } else if (entry.kind === 'symlink') {
      return refused(
        `its entry ${JSON.stringify(name)} is a symbolic link, and only files and directories can be gone over`,
      );
    } else entries.set(name, { kind: 'stored', name, artifact: refOf(entry) });
    if (folders.size + entries.size > EXPANSION_MAX) return refused(tooMany());
  }
  for (const [name, below] of folders) {
    entries.set(name, { kind: 'folder', name, tree: { podmeshTree: 1, entries: below } });
  }
  return ok([...entries.values()].sort((a, b) => byBytes(a.name, b.name)));
}

function refOf(entry: Extract<TreeEntry, { kind: 'file' | 'tree' }>): ArtifactRef {
  switch (entry.kind) {
    case 'file':
      return { digest: entry.digest, kind: 'file', bytes: entry.bytes };
    case 'tree':
      // How long its listing is nobody said.
      return { digest: entry.digest, kind: 'dir', bytes: 0 };
    default:
      return unreachable(entry);
  }
}

/** By code points, which is the order of UTF-8 bytes and not that of UTF-16. */
function byBytes(a: string, b: string): number {
  const [left, right] = [[...a], [...b]];
  const length = Math.min(left.length, right.length);
  for (let at = 0; at < length; at += 1) {
    const difference = (left[at]?.codePointAt(0) ?? 0) - (right[at]?.codePointAt(0) ?? 0);
    if (difference !== 0) return difference;
  }
  return left.length - right.length;
}

/** The elements of a JSON array as JSON, or the lines of a text; or what is wrong with it. */
export function listTexts(text: string, as: ForEach['as']): Result<readonly Element[], string> {
  const isJson = as === 'json' || (as === undefined && /^\s*\[/.test(text));
  const texts = isJson ? jsonElements(text) : linesOf(text);
  if (!texts.ok) return texts;
  if (texts.value.length > EXPANSION_MAX) return refused(tooMany(texts.value.length));
  const long = texts.value.findIndex((one) => one.length > INLINE_VALUE_BYTES_MAX);
  if (long >= 0) {
    return refused(
      `its element ${long} has ${texts.value[long]?.length} characters, and one may have ${INLINE_VALUE_BYTES_MAX}: let the producer write a directory of files`,
    );
  }
  return ok(texts.value.map((one) => ({ text: one })));
}

function jsonElements(text: string): Result<readonly string[], string> {
  const advice = 'to go over its lines say {"over": …, "as": "lines"}';
  try {
    const read: unknown = JSON.parse(text);
    if (!Array.isArray(read)) return refused(`it is JSON, but no array; ${advice}`);
    return ok(read.map((element) => JSON.stringify(element)));
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    return refused(`it is no JSON array: ${why}; ${advice}`);
  }
}

/** Without their ends, and without empty ones. */
function linesOf(text: string): Result<readonly string[], string> {
  const at = text.indexOf('\0');
  if (at < 0) return ok(text.split(/\r?\n/).filter((line) => line !== ''));
  return refused(`its line ${text.slice(0, at).split('\n').length} has a byte 0, so ${NO_TEXT}`);
}

/** Of a list that is read as text. */
export const NO_TEXT =
  'it is no text: let the producer write lines of UTF-8, or a directory with a file for each element';

function tooMany(count?: number): string {
  const what = count === undefined ? 'more' : count.toLocaleString('en');
  return `it has ${what} elements, and a job may have ${EXPANSION_MAX.toLocaleString('en')}: let the producer put several into one`;
}
