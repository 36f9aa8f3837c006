import { crc32, deflateRawSync } from 'node:zlib';

/** One entry of a zip file, as a test wants it, wrong ones included. */
export interface ZipEntrySpec {
  readonly name: string;
  readonly content?: string | Uint8Array;
  /** Type and permissions as Unix writes them, such as `0o120777` for a link. */
  readonly mode?: number;
  readonly compressed?: boolean;
  readonly encrypted?: boolean;
  /** Claimed instead of the true ones. */
  readonly crc32?: number;
  readonly size?: number;
}

const LOCAL_HEADER = 0x04034b50;
const CENTRAL_HEADER = 0x02014b50;
const END_OF_DIRECTORY = 0x06054b50;
const VERSION = 20;
const MADE_BY_UNIX = 3 << 8;
const ENCRYPTION_HEADER = 12;
/** 1980-01-01, the first day of zip files. */
const DATE = 0x21;

/** A zip file in memory (PKWARE's APPNOTE 6.3, without any extension), names taken as they are. */
export function makeZip(entries: readonly ZipEntrySpec[]): Buffer {
  const files: Buffer[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  for (const entry of entries) {
    const parts = partsOf(entry);
    directory.push(centralHeader(entry, parts, offset), parts.name);
    const file = Buffer.concat([localHeader(parts), parts.name, parts.packed]);
    files.push(file);
    offset += file.length;
  }
  const listing = Buffer.concat(directory);
  return Buffer.concat([...files, listing, endOfDirectory(entries.length, listing.length, offset)]);
}

interface EntryParts {
  readonly name: Buffer;
  readonly packed: Buffer;
  /** What both headers say: version, flags, method, time, date, checksum, sizes, length of the name. */
  readonly facts: Buffer;
}

function partsOf(entry: ZipEntrySpec): EntryParts {
  const { content = '', compressed = false, encrypted = false } = entry;
  const plain = Buffer.from(content);
  const bytes = compressed ? deflateRawSync(plain) : plain;
  const packed = encrypted ? Buffer.concat([Buffer.alloc(ENCRYPTION_HEADER), bytes]) : bytes;
  const name = Buffer.from(entry.name);
  const facts = Buffer.alloc(26);
  facts.writeUInt16LE(VERSION, 0);
  // Bit 11: the name is UTF-8.
  facts.writeUInt16LE(0x800 | (encrypted ? 1 : 0), 2);
  facts.writeUInt16LE(compressed ? 8 : 0, 4);
  facts.writeUInt16LE(DATE, 8);
  facts.writeUInt32LE(entry.crc32 ?? crc32(plain), 10);
  facts.writeUInt32LE(packed.length, 14);
  facts.writeUInt32LE(entry.size ?? plain.length, 18);
  facts.writeUInt16LE(name.length, 22);
  return { name, packed, facts };
}

function localHeader({ facts }: EntryParts): Buffer {
  const signature = Buffer.alloc(4);
  signature.writeUInt32LE(LOCAL_HEADER);
  return Buffer.concat([signature, facts]);
}

function centralHeader({ mode = 0o100644 }: ZipEntrySpec, parts: EntryParts, offset: number) {
  const head = Buffer.alloc(6);
  head.writeUInt32LE(CENTRAL_HEADER);
  head.writeUInt16LE(MADE_BY_UNIX | VERSION, 4);
  const tail = Buffer.alloc(14);
  tail.writeUInt32LE(mode * 0x10000, 6);
  tail.writeUInt32LE(offset, 10);
  return Buffer.concat([head, parts.facts, tail]);
}

function endOfDirectory(count: number, bytes: number, offset: number): Buffer {
  const end = Buffer.alloc(22);
  end.writeUInt32LE(END_OF_DIRECTORY);
  end.writeUInt16LE(count, 8);
  end.writeUInt16LE(count, 10);
  end.writeUInt32LE(bytes, 12);
  end.writeUInt32LE(offset, 16);
  return end;
}
