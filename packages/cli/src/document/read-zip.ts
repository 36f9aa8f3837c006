import { posix } from 'node:path';
import type { Readable } from 'node:stream';
import { crc32 } from 'node:zlib';
import type { OutputEntry } from '@podmesh/core';
import { type Entry, openPromise, type ZipFile } from 'yauzl';
import { bytesText } from '../render/amounts.ts';

/** What a zip file may hold, unpacked; a few kilobytes of zip can claim to be petabytes. */
const ZIP_BYTES_MAX = 1024 ** 3;
const ZIP_ENTRIES_MAX = 100_000;
const LINK_BYTES_MAX = 4_096;

const FILE_TYPE = 0o170_000;
const SYMLINK = 0o120_000;
const MADE_BY_UNIX = 3;

/** Why a zip file cannot be unpacked: the message ends the sentence "the zip file …". */
export class ZipRefusal extends Error {
  readonly advice: string;
  constructor(problem: string, advice: string, cause?: unknown) {
    super(problem, { cause });
    this.name = 'ZipRefusal';
    this.advice = advice;
  }
}

/**
 * All entries of a zip file, of which none leads outside; `content` must be read before the next one
 * is asked for. Throws a `ZipRefusal` at the first that is not as it should be.
 */
export async function* readZip(path: string): AsyncGenerator<OutputEntry, void, undefined> {
  const zip = await openPromise(path, { autoClose: false }).catch((error: unknown) => {
    throw refusalOf(error);
  });
  try {
    const seen = new Set<string>();
    let bytes = 0;
    for await (const entry of entriesOf(zip)) {
      const name = plainName(entry);
      bytes += entry.uncompressedSize;
      if (bytes > ZIP_BYTES_MAX || seen.size >= ZIP_ENTRIES_MAX) throw tooLarge();
      if (name === '') continue;
      if (seen.has(name)) throw broken(`it has ${name} twice`);
      seen.add(name);
      yield await describe(zip, entry, name);
    }
  } finally {
    zip.close();
  }
}

async function* entriesOf(zip: ZipFile): AsyncGenerator<Entry, void, undefined> {
  try {
    yield* zip.eachEntry();
  } catch (error) {
    throw refusalOf(error);
  }
}

/** Without empty parts and ".": the package has refused those with "..". */
function plainName({ fileName }: Entry): string {
  const parts = fileName.split('/').filter((part) => part !== '' && part !== '.');
  return parts.join('/');
}

async function describe(zip: ZipFile, entry: Entry, path: string): Promise<OutputEntry> {
  if (entry.isEncrypted()) {
    throw new ZipRefusal(
      `is encrypted: ${path} needs a password`,
      'Make it again without a password: every peer that runs the job has to read it.',
    );
  }
  const mode = entry.versionMadeBy >>> 8 === MADE_BY_UNIX ? entry.externalFileAttributes >>> 16 : 0;
  if (entry.fileName.endsWith('/')) return { kind: 'dir', path };
  if ((mode & FILE_TYPE) === SYMLINK) {
    return { kind: 'symlink', path, target: await readTarget(zip, entry, path) };
  }
  const executable = (mode & 0o100) !== 0;
  return { kind: 'file', path, executable, content: readContent(zip, entry) };
}

/** The bytes of one entry, which must be what the zip file says of them. */
async function* readContent(zip: ZipFile, entry: Entry): AsyncGenerator<Uint8Array> {
  let sum = 0;
  try {
    const stream: Readable = await zip.openReadStreamPromise(entry);
    for await (const piece of stream as AsyncIterable<Uint8Array>) {
      sum = crc32(piece, sum);
      yield piece;
    }
  } catch (error) {
    throw refusalOf(error);
  }
  if (sum !== entry.crc32) throw broken(`the checksum of ${entry.fileName} is wrong`);
}

async function readTarget(zip: ZipFile, entry: Entry, path: string): Promise<string> {
  if (entry.uncompressedSize > LINK_BYTES_MAX) throw broken(`the link ${path} is too long`);
  const pieces: Uint8Array[] = [];
  for await (const piece of readContent(zip, entry)) pieces.push(piece);
  const target = Buffer.concat(pieces).toString('utf8');
  const end = posix.join(posix.dirname(path), target);
  if (posix.isAbsolute(target) || end === '..' || end.startsWith('../')) {
    throw outside(`${path}, a link to ${target}`);
  }
  return target;
}

/** In yauzl's words of file names that it refuses. */
const LEADS_OUTSIDE = /^(?:absolute path|invalid relative path): (.*)$/s;

function refusalOf(error: unknown): Error {
  if (!(error instanceof Error) || error instanceof ZipRefusal) return error as Error;
  // The machine's own trouble with the file is told as it is.
  if ('syscall' in error) return error;
  const [, name] = LEADS_OUTSIDE.exec(error.message) ?? [];
  return name === undefined ? broken(error.message, error) : outside(name);
}

function broken(why: string, cause?: unknown): ZipRefusal {
  return new ZipRefusal(`is broken: ${why}`, 'Make the zip file again.', cause);
}

function outside(name: string): ZipRefusal {
  return new ZipRefusal(
    `writes outside of its directory: ${name}`,
    'Make it again, with paths below the directory that is zipped.',
  );
}

function tooLarge(): ZipRefusal {
  return new ZipRefusal(
    `holds more than ${bytesText(ZIP_BYTES_MAX)} or ${ZIP_ENTRIES_MAX.toLocaleString('en')} entries`,
    'Name the directory instead of a zip file, and give data to the task under "inputs".',
  );
}
