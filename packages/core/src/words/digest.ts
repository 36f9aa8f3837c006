/** SHA-256 of UTF-8 text as 64 lower-case hex digits. Core does no IO and owns no cryptography: edges pass it in. */
export type Sha256 = (text: string) => string;

/**
 * Canonical JSON in the manner of RFC 8785: keys sorted by UTF-16 code units, no white space,
 * `undefined` members left out. Equal values give equal text, so their digests are equal.
 */
export function canonicalJson(value: unknown): string {
  if (Array.isArray(value))
    return `[${value.map((item) => canonicalJson(item ?? null)).join(',')}]`;
  if (typeof value === 'object' && value !== null) {
    const members = Object.entries(value)
      .filter(([, member]) => member !== undefined)
      .sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
      .map(([key, member]) => `${JSON.stringify(key)}:${canonicalJson(member)}`);
    return `{${members.join(',')}}`;
  }
  return JSON.stringify(value);
}
