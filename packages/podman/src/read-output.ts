import { posix } from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { OutputEntry, OutputProblem, Result } from '@podmesh/core';
import { ok, refused } from '@podmesh/core';
import { type Extract, extract, type Header } from 'tar-stream';
import { PodmanTimeoutError } from './podman-errors.ts';
import { STREAM_IDLE_MS_MAX } from './podman-limits.ts';

/** One entry of a tar stream, with its bytes. */
type Entry = Extract extends AsyncIterable<infer E> ? E : never;

/** A tar stream of what is at a path of the container, or undefined. */
export type OpenArchive = (path: string) => Promise<Readable | undefined>;

type Outcome = Result<AsyncIterable<OutputEntry>, OutputProblem>;

/**
 * One regular file. A symbolic link at the path is followed, inside the container. The result must
 * be iterated (or its iterator returned): until then it holds a connection.
 */
export async function readFileOutput(open: OpenArchive, path: string): Promise<Outcome> {
  const archive = await firstEntry(open, path);
  if (archive === undefined) return refused(missing(path));
  const { type } = archive.first.header;
  if (!isFile(type)) {
    await archive.close();
    const message = `${path} is a ${type ?? 'thing'}, and the output was declared as a file`;
    return refused({ kind: 'not-a-file', message });
  }
  return ok(soleFile(archive));
}

/**
 * A directory, in Podman's order (parents first). Hard links become files with the same content;
 * FIFOs, sockets and devices are left out, since nobody could read them elsewhere. Names that are not
 * UTF-8 come with replacement characters. The result must be iterated.
 */
export async function readDirectory(open: OpenArchive, path: string): Promise<Outcome> {
  const archive = await firstEntry(open, path);
  if (archive === undefined) return refused(missing(path));
  const { type } = archive.first.header;
  if (type !== 'directory') {
    await archive.close();
    const message = `${path} is a ${type ?? 'thing'}, and the output was declared as a directory`;
    return refused({ kind: 'not-a-directory', message });
  }
  return ok(entriesBelow(archive, open, posix.normalize(path)));
}

interface OpenedArchive {
  readonly first: Entry;
  readonly rest: AsyncIterator<Entry>;
  /** Ends the connection, read to its end or not. */
  close(): Promise<void>;
}

async function firstEntry(open: OpenArchive, path: string): Promise<OpenedArchive | undefined> {
  // "/o/." would give the entries without their root.
  const normal = posix.normalize(path);
  const stream = await open(normal.length > 1 ? normal.replace(/\/$/, '') : normal);
  if (stream === undefined) return undefined;
  const tar = extract();
  const copied = pipeline(withIdleLimit(stream), tar).catch((error: unknown) => {
    tar.destroy(error instanceof Error ? error : new Error(String(error)));
  });
  const rest = tar[Symbol.asyncIterator]();
  const close = async () => {
    tar.destroy();
    stream.destroy();
    await copied;
  };
  const first = await rest.next();
  if (first.done) {
    await close();
    return undefined;
  }
  return { first: first.value, rest, close };
}

async function* soleFile(archive: OpenedArchive): AsyncIterable<OutputEntry> {
  try {
    yield fileEntry('', archive.first);
  } finally {
    await archive.close();
  }
}

async function* entriesBelow(
  archive: OpenedArchive,
  open: OpenArchive,
  path: string,
): AsyncIterable<OutputEntry> {
  try {
    const root = trimSlashes(archive.first.header.name);
    archive.first.resume();
    for (;;) {
      const next = await archive.rest.next();
      if (next.done) return;
      const entry = next.value;
      const name = below(root, entry.header.name);
      if (name !== undefined && entry.header.type === 'link') {
        yield* linkedFile(open, name, path, below(root, entry.header.linkname ?? ''));
      } else if (name !== undefined) {
        yield* plainEntry(name, entry);
      }
      // Whatever the consumer left unread.
      entry.resume();
    }
  } finally {
    await archive.close();
  }
}

function* plainEntry(name: string, entry: Entry): Iterable<OutputEntry> {
  const { type, linkname } = entry.header;
  if (isFile(type)) yield fileEntry(name, entry);
  else if (type === 'directory') yield { kind: 'dir', path: name };
  else if (type === 'symlink') yield { kind: 'symlink', path: name, target: linkname ?? '' };
}

/** The archive holds the bytes under their first name only; they are fetched again under this one. */
async function* linkedFile(
  open: OpenArchive,
  name: string,
  directory: string,
  target: string | undefined,
): AsyncIterable<OutputEntry> {
  if (target === undefined) return;
  const archive = await firstEntry(open, posix.join(directory, target));
  if (archive === undefined) return;
  try {
    if (isFile(archive.first.header.type)) yield fileEntry(name, archive.first);
  } finally {
    await archive.close();
  }
}

function fileEntry(path: string, entry: Entry): OutputEntry {
  const executable = ((entry.header.mode ?? 0) & 0o111) !== 0;
  return { kind: 'file', path, executable, content: entry as AsyncIterable<Uint8Array> };
}

/** The path below the archive's root; undefined for the root itself and for anything that would leave it. */
export function below(root: string, name: string): string | undefined {
  const trimmed = trimSlashes(name);
  const inside = root === '' ? trimmed : trimmed.slice(root.length + 1);
  if (root !== '' && !trimmed.startsWith(`${root}/`)) return undefined;
  const parts = inside.split('/');
  const isPlain = parts.every((part) => part !== '' && part !== '.' && part !== '..');
  return isPlain ? inside : undefined;
}

function trimSlashes(name: string): string {
  return name.replace(/^\/+|\/+$/g, '');
}

function isFile(type: Header['type']): boolean {
  return type === 'file' || type === 'contiguous-file';
}

function missing(path: string): OutputProblem {
  return { kind: 'missing', message: `the task left nothing at ${path}` };
}

/** Counts only while we wait for Podman: a consumer may be as slow as it likes. */
async function* withIdleLimit(stream: Readable): AsyncIterable<Uint8Array> {
  const chunks = stream[Symbol.asyncIterator]();
  try {
    for (;;) {
      const next = await nextWithin(chunks, STREAM_IDLE_MS_MAX);
      if (next.done) return;
      yield next.value;
    }
  } finally {
    stream.destroy();
  }
}

async function nextWithin(
  chunks: AsyncIterator<Uint8Array>,
  ms: number,
): Promise<IteratorResult<Uint8Array>> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new PodmanTimeoutError('read files of a container', ms)), ms);
  });
  try {
    return await Promise.race([chunks.next(), late]);
  } finally {
    clearTimeout(timer);
  }
}
