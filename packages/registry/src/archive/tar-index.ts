import { posix } from 'node:path';
import {
  ARCHIVE_ENTRIES_MAX,
  ARCHIVE_RECORDS_MAX,
  ARCHIVE_WORDS_BYTES_MAX,
  ENTRY_WORDS_BYTES_MAX,
  NAME_CHARS_MAX,
} from './archive-limits.ts';
import { ArchiveProblem } from './archive-problem.ts';

const BLOCK = 512;

/** A file that can be read anywhere. */
export interface SeekableBytes {
  readonly bytes: number;
  /** Exactly so many. */
  read(start: number, length: number): Promise<Buffer>;
}

/** Where the bytes of an entry stand, or the name that it is another one for. */
export type TarEntry =
  | { readonly kind: 'file'; readonly start: number; readonly bytes: number }
  | { readonly kind: 'link'; readonly target: string }
  | { readonly kind: 'other' };

/** What is in a tar archive, by name. */
export interface TarIndex {
  readonly entries: ReadonlyMap<string, TarEntry>;
  /** Names that stand there more than once: whoever reads it may mean another one. */
  readonly doubles: ReadonlySet<string>;
}

interface Words {
  readonly path?: string;
  readonly linkpath?: string;
  readonly bytes?: number;
}

/**
 * Finds the entries of a tar archive (POSIX ustar and pax, and GNU's long names) by its headers alone: of an image that is
 * a few kilobytes. Nothing is ever laid out under the names that stand there. Throws an {@link ArchiveProblem}.
 */
export async function readTarIndex(source: SeekableBytes): Promise<TarIndex> {
  const entries = new Map<string, TarEntry>();
  const doubles = new Set<string>();
  const reader = new WordsReader(source);
  let words: Words = {};
  for (let at = 0, count = 0; at < source.bytes; count += 1) {
    if (count >= ARCHIVE_ENTRIES_MAX)
      throw new ArchiveProblem(`has more than ${ARCHIVE_ENTRIES_MAX} entries`);
    const block = await readWhole(source, at, BLOCK);
    if (block.every((byte) => byte === 0)) break;
    const header = readHeader(block, at);
    const isWords = 'xgLK'.includes(header.type);
    const bytes = isWords ? header.bytes : (words.bytes ?? header.bytes);
    const start = at + BLOCK;
    if (start + bytes > source.bytes) throw cutOff(source, start + bytes);
    at = start + Math.ceil(bytes / BLOCK) * BLOCK;
    if (isWords) {
      const said = await reader.read(header.type, { start, bytes });
      words = { ...words, ...said };
      continue;
    }
    const name = normalized(words.path ?? header.name);
    if (entries.has(name)) doubles.add(name);
    entries.set(name, entryOf(header, { start, bytes }, words.linkpath, name));
    words = {};
  }
  return { entries, doubles };
}

/** By which an entry is found, however its writer began it. */
export const normalized = (name: string): string =>
  posix
    .normalize(name)
    .replace(/^(\.?\/)+/, '')
    .replace(/\/$/, '');

interface Header {
  readonly name: string;
  readonly type: string;
  readonly bytes: number;
  readonly linkname: string;
}

function readHeader(block: Buffer, at: number): Header {
  const said = numberIn(block.subarray(148, 156));
  // The checksum counts its own field as blanks.
  const sum = block.reduce((all, byte, i) => all + (i >= 148 && i < 156 ? 32 : byte), 0);
  if (said !== sum)
    throw new ArchiveProblem(
      at === 0 ? 'is no tar archive' : `is damaged: what stands at byte ${at} is no entry`,
    );
  const type = String.fromCharCode(block[156] ?? 0);
  const bytes = numberIn(block.subarray(124, 136));
  // Links and directories have no bytes, whatever old programs wrote there.
  const hasBytes = !'123456'.includes(type);
  if (hasBytes && bytes === undefined)
    throw new ArchiveProblem(`is damaged: the entry at byte ${at} has no length`);
  const isUstar = block.toString('latin1', 257, 262) === 'ustar';
  const prefix = isUstar && block[262] === 0 ? textIn(block.subarray(345, 500)) : '';
  const name = textIn(block.subarray(0, 100));
  return {
    name: prefix === '' ? name : `${prefix}/${name}`,
    type,
    bytes: hasBytes ? (bytes ?? 0) : 0,
    linkname: textIn(block.subarray(157, 257)),
  };
}

function entryOf(
  { type, linkname }: Header,
  place: { readonly start: number; readonly bytes: number },
  linkpath: string | undefined,
  name: string,
): TarEntry {
  switch (type) {
    case '\0':
    case '0':
    case '7':
      return { kind: 'file', ...place };
    case '1':
      return { kind: 'link', target: normalized(linkpath ?? linkname) };
    case '2':
      return {
        kind: 'link',
        target: normalized(posix.join(posix.dirname(name), linkpath ?? linkname)),
      };
    case 'S':
      throw new ArchiveProblem(`has a sparse file (${shown(name)}), which no image archive has`);
    default:
      return { kind: 'other' };
  }
}

/** Reads the words about entries, of which there may be only so many in one archive. */
class WordsReader {
  readonly #source: SeekableBytes;
  #bytes = 0;
  #records = 0;

  constructor(source: SeekableBytes) {
    this.#source = source;
  }

  async read(
    type: string,
    { start, bytes }: { readonly start: number; readonly bytes: number },
  ): Promise<Words> {
    if (bytes > ENTRY_WORDS_BYTES_MAX)
      throw new ArchiveProblem(`is damaged: ${bytes} bytes of words about one entry`);
    // What is said of all entries is about times and owners.
    if (type === 'g') return {};
    this.#bytes += bytes;
    if (this.#bytes > ARCHIVE_WORDS_BYTES_MAX)
      throw new ArchiveProblem(
        `has more than ${ARCHIVE_WORDS_BYTES_MAX} bytes of words about its entries`,
      );
    const said = await readWhole(this.#source, start, bytes);
    if (type === 'L') return { path: shortEnough(textIn(said)) };
    if (type === 'K') return { linkpath: shortEnough(textIn(said)) };
    return this.#paxWords(said);
  }

  #paxWords(said: Buffer): Words {
    const words: { path?: string; linkpath?: string; bytes?: number } = {};
    for (const [key, value] of paxRecords(said)) {
      this.#records += 1;
      if (this.#records > ARCHIVE_RECORDS_MAX)
        throw new ArchiveProblem(`has more than ${ARCHIVE_RECORDS_MAX} words about its entries`);
      if (key.startsWith('GNU.sparse.'))
        throw new ArchiveProblem('has a sparse file, which no image archive has');
      if (key === 'path' || key === 'linkpath') words[key] = shortEnough(value);
      if (key !== 'size') continue;
      if (!/^\d{1,15}$/.test(value))
        throw new ArchiveProblem('is damaged: the length of an entry is no number');
      words.bytes = Number(value);
    }
    return words;
  }
}

/** No system takes a longer one, and bringing it into its normal form would take long. */
export function shortEnough(name: string): string {
  if (name.length <= NAME_CHARS_MAX) return name;
  throw new ArchiveProblem(
    `has a name of ${name.length} characters, and ${NAME_CHARS_MAX} are the most`,
  );
}

/** `LENGTH KEY=VALUE\n`, the length counting itself. */
function* paxRecords(said: Buffer): Generator<readonly [string, string]> {
  for (let at = 0; at < said.length; ) {
    const blank = said.indexOf(0x20, at);
    const length = blank < 0 ? 0 : Number(said.toString('latin1', at, blank));
    const end = at + length;
    if (!Number.isSafeInteger(length) || end > said.length || end <= blank + 1)
      throw new ArchiveProblem('is damaged: the words about an entry cannot be read');
    const record = said.toString('utf8', blank + 1, end - 1);
    const sign = record.indexOf('=');
    yield sign < 0 ? [record, ''] : [record.slice(0, sign), record.slice(sign + 1)];
    at = end;
  }
}

/** Octal, or (GNU) in base 256; undefined: neither. */
function numberIn(field: Buffer): number | undefined {
  const [first = 0] = field;
  if (first === 0x80) {
    const value = field.subarray(1).reduce((all, byte) => all * 256 + byte, 0);
    return Number.isSafeInteger(value) ? value : undefined;
  }
  const text = textIn(field).trim();
  if (text === '') return 0;
  return /^[0-7]+$/.test(text) ? Number.parseInt(text, 8) : undefined;
}

function textIn(field: Buffer): string {
  const end = field.indexOf(0);
  return field.toString('utf8', 0, end < 0 ? field.length : end);
}

async function readWhole(source: SeekableBytes, start: number, length: number): Promise<Buffer> {
  if (start + length > source.bytes) throw cutOff(source, start + length);
  return await source.read(start, length);
}

const cutOff = ({ bytes }: SeekableBytes, needed: number): ArchiveProblem =>
  new ArchiveProblem(`is cut off: it has ${bytes} bytes, and an entry ends at ${needed}`);

/** Names come from whoever wrote the archive. */
export const shown = (name: string): string => JSON.stringify(name.slice(0, 200));
