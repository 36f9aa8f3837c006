import { type ArtifactId, type ArtifactStore, PortError } from '@podmesh/core';

/** A whole artifact in memory. Throws `ArtifactMissingError`, and a `PortError` when it is longer than `bytesMax`. */
export async function readBounded(
  artifacts: Pick<ArtifactStore, 'get'>,
  artifact: ArtifactId,
  bytesMax: number,
): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  let bytes = 0;
  for await (const piece of artifacts.get(artifact)) {
    bytes += piece.length;
    if (bytes > bytesMax) {
      throw new PortError(`artifact ${artifact} has more than ${bytesMax} bytes`, {
        retryable: false,
      });
    }
    pieces.push(piece);
  }
  return Buffer.concat(pieces);
}
