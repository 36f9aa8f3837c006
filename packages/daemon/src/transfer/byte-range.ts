/** Bytes of an artifact, the end excluded. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

/** One `Range` header (RFC 9110 §14.1.2); `unsatisfiable` also for several ranges, which nobody here asks for. */
export function parseByteRange(
  header: string | undefined,
  bytes: number,
): ByteRange | 'whole' | 'unsatisfiable' {
  if (header === undefined) return 'whole';
  const [, first = '', last = ''] = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(header) ?? [];
  if (first === '' && last === '') return 'unsatisfiable';
  const start = first === '' ? Math.max(0, bytes - Number(last)) : Number(first);
  const end = first === '' || last === '' ? bytes : Math.min(bytes, Number(last) + 1);
  return start < end ? { start, end } : 'unsatisfiable';
}
