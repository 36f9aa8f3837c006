import { randomUUID } from 'node:crypto';
import { createReadStream, createWriteStream, type Stats } from 'node:fs';
import { lstat, mkdir, open, readdir, readlink, rename, rm, symlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import {
  ARTIFACT_BYTES_MAX,
  type ArtifactId,
  type ArtifactRef,
  type ArtifactStore,
  TREE_ENTRIES_MAX,
  type Tree,
  type TreeEntry,
  unreachable,
} from '@podmesh/core';
import { DigestStream } from './digest-stream.ts';
import { forEachBounded } from './for-each-bounded.ts';
import { UnreadableMessageError } from './mesh-errors.ts';
import { makeTree, parseTree } from './tree-artifact.ts';

/** Files that are read or written at the same time. */
const FILES_AT_ONCE = 8;
/** A tree of trees of … deeper than any gather makes. */
const TREES_DEEP_MAX = 8;
const READ_BYTES = 512 * 1024;

/** Only what is needed, so that any store will do. */
type Sink = Pick<ArtifactStore, 'put'>;

export interface ArtifactSource extends Pick<ArtifactStore, 'get'> {
  /**
   * A better way for large files: puts the artifact at `path`, where there is none, whole and on the disk. False: it comes
   * by `get`, and there is no such file.
   */
  readonly fetchInto?: (
    artifact: ArtifactId,
    file: { readonly bytes: number; readonly mode: number },
    path: string,
  ) => Promise<boolean>;
}

type Source = ArtifactSource;

/** What a file is called, without storing it; a file that changes meanwhile is caught when it is stored. */
export async function digestFile(path: string): Promise<ArtifactRef> {
  const seen = new DigestStream();
  for await (const chunk of seen.through(readFile(path))) void chunk;
  const { digest, bytes } = seen.finish();
  if (bytes > ARTIFACT_BYTES_MAX)
    throw new UnreadableMessageError(`${path}: larger than ${ARTIFACT_BYTES_MAX} bytes`);
  return { digest, kind: 'file', bytes };
}

/** Stores a file, or a directory with all in it; a symbolic link given as `path` itself is followed. */
export async function storePath(path: string, sink: Sink): Promise<ArtifactRef> {
  const entry = await lstat(join(path, '.')).catch(() => undefined);
  if (entry?.isDirectory() !== true) return storeFile(path, sink);
  const entries = await listDirectory(path);
  const stored: TreeEntry[] = new Array<TreeEntry>(entries.length);
  await forEachBounded(entries.entries(), FILES_AT_ONCE, async ([i, { entry, from }]) => {
    stored[i] = await storeEntry(entry, from, sink);
  });
  const { ref, bytes } = makeTree(stored);
  await sink.put(ref, one(bytes));
  return ref;
}

/**
 * Puts an artifact at `destination`, which must not exist: written beside it under a temporary name and
 * renamed, so it is there whole or not at all. Refuses listings that reach outside of it.
 */
export async function extractArtifact(
  artifact: ArtifactRef,
  destination: string,
  source: Source,
): Promise<void> {
  const temporary = join(dirname(destination), `.podmesh-${randomUUID()}`);
  await mkdir(dirname(destination), { recursive: true });
  try {
    if (artifact.kind === 'file') await writeFile(temporary, artifact, 0o644, source);
    else await writeTree(temporary, artifact.digest, source, TREES_DEEP_MAX);
    await rename(temporary, destination);
  } catch (error) {
    await rm(temporary, { recursive: true, force: true });
    throw error;
  }
}

/** All of a directory's listing, in memory; bounded by `TREE_ENTRIES_MAX`. */
export async function readTree(artifact: ArtifactId, source: Source): Promise<Tree> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of source.get(artifact)) chunks.push(chunk);
  return parseTree(Buffer.concat(chunks), artifact);
}

async function storeFile(path: string, sink: Sink): Promise<ArtifactRef> {
  const ref = await digestFile(path);
  await sink.put(ref, readFile(path));
  return ref;
}

type Found =
  | { readonly kind: 'file'; readonly path: string; readonly executable: boolean }
  | { readonly kind: 'dir'; readonly path: string }
  | { readonly kind: 'symlink'; readonly path: string; readonly target: string };

async function storeEntry(entry: Found, from: string, sink: Sink): Promise<TreeEntry> {
  if (entry.kind !== 'file') return entry;
  const { digest, bytes } = await storeFile(from, sink);
  return { ...entry, digest, bytes };
}

/** Everything below a directory; sockets, devices and pipes are refused, they have no bytes to store. */
async function listDirectory(root: string): Promise<readonly { entry: Found; from: string }[]> {
  const found: { entry: Found; from: string }[] = [];
  const open = [''];
  for (let relative = open.pop(); relative !== undefined; relative = open.pop()) {
    for (const name of await readdir(join(root, relative))) {
      const path = relative === '' ? name : `${relative}/${name}`;
      const from = join(root, path);
      const entry = await describe(path, from, await lstat(from));
      found.push({ entry, from });
      if (entry.kind === 'dir') open.push(path);
      if (found.length > TREE_ENTRIES_MAX)
        throw new UnreadableMessageError(`${root}: more than ${TREE_ENTRIES_MAX} entries`);
    }
  }
  return found;
}

async function describe(path: string, from: string, stats: Stats): Promise<Found> {
  if (stats.isDirectory()) return { kind: 'dir', path };
  if (stats.isSymbolicLink()) return { kind: 'symlink', path, target: await readlink(from) };
  if (stats.isFile()) return { kind: 'file', path, executable: (stats.mode & 0o100) !== 0 };
  throw new UnreadableMessageError(`${from}: neither a file, a directory, nor a symbolic link`);
}

/** Links come last: nothing is ever written through one. */
async function writeTree(
  root: string,
  artifact: ArtifactId,
  source: Source,
  depth: number,
): Promise<void> {
  if (depth === 0) throw new UnreadableMessageError(`${artifact}: trees nested too deeply`);
  const { entries } = await readTree(artifact, source);
  await mkdir(root, { recursive: true });
  const parents = new Set(entries.map(({ path }) => dirname(path)));
  for (const parent of parents) await mkdir(join(root, parent), { recursive: true });
  const last = (entry: TreeEntry): boolean => entry.kind === 'symlink';
  await forEachBounded(
    entries.filter((entry) => !last(entry)),
    FILES_AT_ONCE,
    (entry) => writeEntry(root, entry, source, depth),
  );
  for (const entry of entries.filter(last)) await writeEntry(root, entry, source, depth);
}

async function writeEntry(
  root: string,
  entry: TreeEntry,
  source: Source,
  depth: number,
): Promise<void> {
  const path = join(root, entry.path);
  switch (entry.kind) {
    case 'file':
      return writeFile(path, entry, entry.executable ? 0o755 : 0o644, source);
    case 'dir':
      await mkdir(path, { recursive: true });
      return;
    case 'symlink':
      return symlink(entry.target, path);
    case 'tree':
      return writeTree(path, entry.digest, source, depth - 1);
    default:
      return unreachable(entry);
  }
}

/** On disk before it is renamed: a power cut must not leave an empty file under a finished name. */
async function writeFile(
  path: string,
  { digest, bytes }: Pick<ArtifactRef, 'digest' | 'bytes'>,
  mode: number,
  source: Source,
): Promise<void> {
  if ((await source.fetchInto?.(digest, { bytes, mode }, path)) === true) return;
  await pipeline(source.get(digest), createWriteStream(path, { mode, flags: 'wx' }));
  const file = await open(path, 'r');
  await file.datasync().finally(() => file.close());
}

function readFile(path: string): AsyncIterable<Uint8Array> {
  return createReadStream(path, { highWaterMark: READ_BYTES });
}

async function* one(bytes: Uint8Array): AsyncGenerator<Uint8Array, void, undefined> {
  yield bytes;
}
