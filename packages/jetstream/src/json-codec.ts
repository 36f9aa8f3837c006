import { UnreadableMessageError } from './mesh-errors.ts';

const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { fatal: true });

/** Values of our own types, built by the same code in the same order: equal facts are equal bytes, which is how a lost append is recognised. */
export const encodeJson = (value: unknown): Uint8Array => encoder.encode(JSON.stringify(value));

/** Parses what a peer of this mesh wrote: an object, or `UnreadableMessageError` naming `where`. */
export function decodeJson<T extends object>(bytes: Uint8Array, where: string): T {
  let value: unknown;
  try {
    value = JSON.parse(decoder.decode(bytes));
  } catch (cause) {
    throw new UnreadableMessageError(where, cause);
  }
  if (typeof value !== 'object' || value === null) throw new UnreadableMessageError(where);
  // Only peers with this mesh's credentials write here, each from the same types.
  return value as T;
}
