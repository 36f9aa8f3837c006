import type { ArtifactId } from '@podmesh/core';
import type { Client } from './client.ts';

/** All bytes of an artifact that is known to be of moderate size. */
export async function readWhole(client: Client, artifact: ArtifactId): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for await (const piece of client.artifacts.get(artifact)) pieces.push(piece);
  return Buffer.concat(pieces);
}
