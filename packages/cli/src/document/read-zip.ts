import type { Readable } from 'node:stream';
import { crc32 } from 'node:zlib';
import { type OutputEntry, TreeCheck } from '@podmesh/core';
import { type Entry, openPromise, type ZipFile } from 'yauzl';
import {
  broken,
  outside,
  PROGRAM_BYTES_MAX,
  PROGRAM_ENTRIES_MAX,
  ProgramRefusal,
  refusalOfPlace,
  tooLarge,
} from './program-refusal.ts';

const LINK_BYTES_MAX = 4_096;

const FILE_TYPE = 0o170_000;
const SYMLINK = 0o120_000;
const MADE_BY_UNIX = 3;

/**
 * All entries of a zip file, of which none leads outside; `content` must be read before the next one
 * is asked for. Throws a `ProgramRefusal` at the first that is not as it should be.
 */
export async function* readZip(path: string): AsyncGenerator<OutputEntry, void, undefined> {
  const zip = await openPromise(path, { autoClose: false }).catch((error: unknown) => {
    throw refusalOf(error);
  });
  try {
    const seen = new Set<string>();
    const check = new TreeCheck();
    let bytes = 0;
    for await (const entry of entriesOf(zip)) {
      const name = plainName(entry);
      bytes += entry.uncompressedSize;
      if (bytes > PROGRAM_BYTES_MAX || seen.size >= PROGRAM_ENTRIES_MAX) throw tooLarge();
      if (name === '') continue;
      if (seen.has(name)) throw broken(`it has ${name} twice`);
      seen.add(name);
      const found = await describe(zip, entry, name);
      const problem = check.add(found);
      if (problem !== undefined) throw refusalOfPlace(problem);
      yield found;
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
    throw new ProgramRefusal(
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
  return Buffer.concat(pieces).toString('utf8');
}

/** In yauzl's words of file names that it refuses. */
const LEADS_OUTSIDE = /^(?:absolute path|invalid relative path): (.*)$/s;

function refusalOf(error: unknown): Error {
  if (!(error instanceof Error) || error instanceof ProgramRefusal) return error as Error;
  // The machine's own trouble with the file is told as it is.
  if ('syscall' in error) return error;
  const [, name] = LEADS_OUTSIDE.exec(error.message) ?? [];
  return name === undefined ? broken(error.message, error) : outside(name);
}
