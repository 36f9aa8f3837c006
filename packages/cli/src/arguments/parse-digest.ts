import { type ArtifactId, artifactId, isDigest } from '@podmesh/core';
import { CliError } from '../cli-error.ts';

/** Fewer digits may soon mean another artifact. */
const PREFIX_DIGITS_MIN = 8;

/** A digest as typed: all of it, or its first digits, which are still to be completed. */
export type DigestWord =
  | { readonly kind: 'whole'; readonly artifact: ArtifactId }
  | { readonly kind: 'prefix'; readonly digits: string };

/** Reads `sha256:…` or just the hex digits, at least the first eight. Throws a `CliError`. */
export function parseDigest(text: string): DigestWord {
  const digits = text.replace(/^sha256:/, '').toLowerCase();
  if (isDigest(`sha256:${digits}`)) {
    return { kind: 'whole', artifact: artifactId(`sha256:${digits}`) };
  }
  if (/^[0-9a-f]{1,63}$/.test(digits) && digits.length >= PREFIX_DIGITS_MIN) {
    return { kind: 'prefix', digits };
  }
  throw new CliError('arguments', `${JSON.stringify(text)} is no digest`, {
    advice: `A digest is "sha256:" and 64 hex digits; the first ${PREFIX_DIGITS_MIN} may do, with or without "sha256:".`,
  });
}
