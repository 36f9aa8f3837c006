/** @typedef {{ readonly start: number, readonly end: number }} ByteRange bytes of an artifact, the end excluded */

/**
 * One `Range` header (RFC 9110 §14.1.2); `unsatisfiable` also for several ranges, which nobody here asks for.
 * @param {string | undefined} header
 * @param {number} bytes
 * @returns {ByteRange | 'whole' | 'unsatisfiable'}
 */
export function parseByteRange(header, bytes) {
  if (header === undefined) return 'whole';
  const [, first = '', last = ''] = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(header) ?? [];
  if (first === '' && last === '') return 'unsatisfiable';
  const start = first === '' ? Math.max(0, bytes - Number(last)) : Number(first);
  const end = first === '' || last === '' ? bytes : Math.min(bytes, Number(last) + 1);
  return start < end ? { start, end } : 'unsatisfiable';
}
