import { type ArtifactId, artifactId } from '@podmesh/core';
import { type DigestWord, parseDigest } from '../arguments/parse-digest.ts';
import { CliError } from '../cli-error.ts';
import { shortId } from '../render/short-id.ts';

const FITTING_SHOWN_MAX = 4;

/**
 * Digests as typed, in full, each once. `list` is asked only where one of them is shortened; it gives the digests
 * among which it has to fit one. Throws a `CliError`.
 */
export async function completeDigests(
  texts: readonly string[],
  list: () => Promise<readonly string[]>,
): Promise<readonly ArtifactId[]> {
  const words = texts.map(parseDigest);
  const known = words.some(({ kind }) => kind === 'prefix') ? await list() : [];
  return [...new Set(words.map((word) => completed(word, known)))];
}

function completed(word: DigestWord, known: readonly string[]): ArtifactId {
  if (word.kind === 'whole') return word.artifact;
  const { digits } = word;
  const fitting = known.filter((digest) => digest.startsWith(`sha256:${digits}`));
  const [first] = fitting;
  if (first === undefined) {
    throw new CliError('no-such-artifact', `no artifact on this machine begins with ${digits}`, {
      advice: 'See: podmesh cache ls. What is not here is named by all 64 digits.',
    });
  }
  if (fitting.length === 1) return artifactId(first);
  const shown = fitting.slice(0, FITTING_SHOWN_MAX).map((digest) => longer(digest, digits));
  const more = fitting.length > shown.length ? ', …' : '';
  throw new CliError(
    'no-such-artifact',
    `${digits} is the beginning of ${fitting.length} artifacts: ${shown.join(', ')}${more}`,
    { advice: 'Write more of the digits.' },
  );
}

/** Enough to tell them apart, mostly. */
function longer(digest: string, digits: string): string {
  const length = Math.max(shortId(digest).length, digits.length + 4);
  return digest.replace(/^sha256:/, '').slice(0, length);
}
