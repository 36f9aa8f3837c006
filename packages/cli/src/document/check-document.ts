import { createHash } from 'node:crypto';
import { type Graph, parseGraph, type Sha256 } from '@podmesh/core';
import { documentError } from './document-error.ts';
import { inlineGraphs, withPlaces } from './inline-graphs.ts';
import { checkLocalInputs } from './local-inputs.ts';
import type { ReadDocument } from './read-document.ts';

/** SHA-256 of UTF-8 text, as the core wants it. */
export const sha256: Sha256 = (text) => createHash('sha256').update(text).digest('hex');

/** The graph of a document whose local inputs are all there; otherwise a `CliError` with every problem. */
export async function checkDocument(read: ReadDocument): Promise<Graph> {
  const { document, directory, places } = await inlineGraphs(read);
  const parsed = parseGraph(document, sha256);
  const missing = await checkLocalInputs(document, directory);
  const problems = [...(parsed.ok ? [] : parsed.error), ...missing];
  if (parsed.ok && problems.length === 0) return parsed.value;
  throw documentError(withPlaces(problems, places));
}
