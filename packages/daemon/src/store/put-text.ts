import type { ArtifactKind, ArtifactRef, ArtifactStore, Sha256 } from '@podmesh/core';
import { artifactId } from '@podmesh/core';

/** Stores a text that is already in memory as an artifact every peer can reach. */
export async function putText(
  artifacts: ArtifactStore,
  sha256: Sha256,
  kind: ArtifactKind,
  text: string,
): Promise<ArtifactRef> {
  const bytes = Buffer.from(text, 'utf8');
  const ref = { digest: artifactId(`sha256:${sha256(text)}`), kind, bytes: bytes.length };
  await artifacts.put(ref, once(bytes));
  return ref;
}

async function* once(bytes: Uint8Array): AsyncIterable<Uint8Array> {
  yield bytes;
}
