import { createReadStream } from 'node:fs';
import { type Finding, holdsCredentials, secretIn } from '@podmesh/core';
import { bytesText } from '../render/amounts.ts';
import { boundedFindings } from './bounded-findings.ts';

/** Lock files with the hashes of a thousand packages have a few of them; what is larger is something else. */
export const REQUIREMENTS_BYTES_MAX = 16 * 1024 * 1024;

/**
 * What keeps a requirements file from being stored in the mesh: lines that would let everybody there into
 * somebody's package index. Comments count, they are stored as well. Never says what it found, only where.
 */
export async function findingsOfRequirements(path: string): Promise<readonly Finding[]> {
  const text = await readText(path);
  if (text === undefined) {
    const problem = `${path} is larger than ${bytesText(REQUIREMENTS_BYTES_MAX)}`;
    return [{ problem, advice: 'Name a requirements file.' }];
  }
  const found = text
    .split(/\r\n|\r|\n/)
    .flatMap((line, index) =>
      holdsCredentials(withoutPlaceholders(line)) ? [secretIn(`line ${index + 1} of ${path}`)] : [],
    );
  return boundedFindings(found, path);
}

/**
 * As Latin-1 without its zeros: addresses and their secrets are ASCII in whatever encoding pip takes, and
 * PowerShell writes UTF-16. Undefined when it is too large.
 */
async function readText(path: string): Promise<string | undefined> {
  const pieces: Buffer[] = [];
  let bytes = 0;
  for await (const piece of createReadStream(path) as AsyncIterable<Buffer>) {
    bytes += piece.length;
    if (bytes > REQUIREMENTS_BYTES_MAX) return undefined;
    pieces.push(piece);
  }
  return Buffer.concat(pieces).toString('latin1').replaceAll('\0', '');
}

const PLACEHOLDER = '\\$\\{[A-Z0-9_]+\\}';
const PLACEHOLDERS = new RegExp(
  `://(?:(?:${PLACEHOLDER}|[^\\s/?#@:$])*:)?(?:${PLACEHOLDER})+@`,
  'g',
);

/** pip puts variables in the place of `${NAME}` when it reads the file: a password named so is not in it. */
const withoutPlaceholders = (line: string): string => line.replace(PLACEHOLDERS, '://');
