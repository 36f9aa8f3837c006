import type { BlobRange } from './registry-parts.ts';

/**
 * One `Range` header over `bytes` (RFC 9110 §14.2). What is no range of bytes, or several, is ignored, as it may be:
 * then the whole is sent.
 */
export function parseRange(
  header: string | undefined,
  bytes: number,
): BlobRange | 'whole' | 'unsatisfiable' {
  const found = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(header?.trim() ?? '');
  if (found === null) return 'whole';
  const [, first = '', last = ''] = found;
  if (first === '' && last === '') return 'whole';
  if (first === '') {
    const start = Math.max(0, bytes - Number(last));
    return start < bytes ? { start, end: bytes } : 'unsatisfiable';
  }
  const start = Number(first);
  if (last !== '' && Number(last) < start) return 'whole';
  const end = last === '' ? bytes : Math.min(bytes, Number(last) + 1);
  return start < bytes ? { start, end } : 'unsatisfiable';
}

/** The `Content-Range` of a chunk, in the specification's own form: both ends included, no unit. Undefined: not one. */
export function parseChunkRange(header: string): BlobRange | undefined {
  // Some clients write it as the RFC has it.
  const [, first = '', last = ''] =
    /^(?:bytes )?(\d{1,15})-(\d{1,15})(?:\/(?:\d+|\*))?$/.exec(header) ?? [];
  if (first === '' || last === '' || Number(last) < Number(first)) return undefined;
  return { start: Number(first), end: Number(last) + 1 };
}
