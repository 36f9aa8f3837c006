import type { Graph, SecretValues } from '@podmesh/core';
import { readSecrets as read } from '@podmesh/sdk';
import { documentError } from './document-error.ts';

/** All secrets of the publisher; throws a `CliError` that names each one that is not there. */
export async function readSecrets(
  graph: Graph,
  here: Parameters<typeof read>[1],
): Promise<SecretValues> {
  const found = await read(graph, here);
  if (found.ok) return found.value;
  throw documentError(found.error);
}
