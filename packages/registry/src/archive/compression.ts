/** What is compressed, by what it begins with: RFC 1952, the bzip2 and xz formats, RFC 8878. */
const BEGINNINGS = {
  gzip: '1f8b',
  bzip2: '425a68',
  xz: 'fd377a585a00',
  zstd: '28b52ffd',
} as const;

export type Compression = keyof typeof BEGINNINGS;

/** Of so many bytes, or all there are, it can be said. */
export const COMPRESSION_BYTES = 6;

/** How bytes are compressed that begin with these; undefined: in no way that is known here. */
export function compressionOf(begin: Uint8Array): Compression | undefined {
  const hex = Buffer.from(begin.subarray(0, COMPRESSION_BYTES)).toString('hex');
  const kinds = Object.keys(BEGINNINGS) as readonly Compression[];
  return kinds.find((kind) => hex.startsWith(BEGINNINGS[kind]));
}
