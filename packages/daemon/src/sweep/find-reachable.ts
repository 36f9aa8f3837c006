import {
  type ArtifactId,
  ArtifactMissingError,
  type ArtifactStore,
  DigestSet,
  type MeshReferences,
} from '@podmesh/core';
import { ArtifactCorruptError, referencesIn } from '@podmesh/jetstream';

/** A digest and what follows it may be cut by two pieces of a text: so much of the end is read again. */
const OVERLAP_CHARACTERS = 128;

export interface ReachableParts {
  readonly references: MeshReferences;
  /** The object store alone: what is only on disks is not the sweep's. */
  readonly objects: Pick<ArtifactStore, 'stat' | 'get'>;
}

/** Everything that something refers to, directly or through listings, manifests and graphs. */
export async function findReachable(
  { references, objects }: ReachableParts,
  directories: DigestSet,
  signal: AbortSignal,
): Promise<DigestSet> {
  const reachable = new DigestSet();
  const followed = new DigestSet();
  const open: ArtifactId[] = [];
  const note = (artifact: ArtifactId, holds: boolean): void => {
    reachable.add(artifact);
    if ((holds || directories.has(artifact)) && followed.add(artifact)) open.push(artifact);
  };
  for await (const batch of references.read(signal)) {
    for (const { artifact, holds } of batch) note(artifact, holds);
  }
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    signal.throwIfAborted();
    await readText(objects, next, (text) => {
      for (const { artifact, holds } of referencesIn(text)) note(artifact, holds);
    });
  }
  return reachable;
}

/** Of what is not in the object store there is nothing to read, and what only damaged bytes name nobody can find by them. */
async function readText(
  objects: ReachableParts['objects'],
  artifact: ArtifactId,
  see: (text: string) => void,
): Promise<void> {
  if ((await objects.stat([artifact])).size === 0) return;
  let end = '';
  try {
    for await (const piece of objects.get(artifact)) {
      const text = end + Buffer.from(piece).toString('latin1');
      see(text);
      end = text.slice(-OVERLAP_CHARACTERS);
    }
  } catch (error) {
    const isLost = error instanceof ArtifactMissingError || error instanceof ArtifactCorruptError;
    if (!isLost) throw error;
  }
}
