import { createHash } from 'node:crypto';
import { type Graph, type GraphProblem, parseGraph, type Sha256 } from '@podmesh/core';
import { CliError } from '../cli-error.ts';
import { countText } from '../render/amounts.ts';
import { checkLocalInputs } from './local-inputs.ts';
import type { ReadDocument } from './read-document.ts';

/** SHA-256 of UTF-8 text, as the core wants it. */
export const sha256: Sha256 = (text) => createHash('sha256').update(text).digest('hex');

/** The graph of a document whose local inputs are all there; otherwise a `CliError` with every problem. */
export async function checkDocument({ document, directory }: ReadDocument): Promise<Graph> {
  const parsed = parseGraph(document, sha256);
  const missing = await checkLocalInputs(document, directory);
  const problems = [...(parsed.ok ? [] : parsed.error), ...missing];
  if (parsed.ok && problems.length === 0) return parsed.value;
  throw documentError(problems);
}

/** Says everything that is wrong with a document at once. */
export function documentError(problems: readonly GraphProblem[]): CliError {
  const count = countText(problems.length, 'problem');
  return new CliError('document', `the document has ${count}, so nothing was started`, {
    problems,
  });
}
