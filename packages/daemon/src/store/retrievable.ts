import type { ArtifactId, ArtifactStore, TaskResult } from '@podmesh/core';

/**
 * Whether all bytes of these results can still be had: a cache record whose bytes are gone is a
 * miss (DESIGN §7). A directory counts by its listing; its files are looked at when it is read.
 */
export async function isRetrievable(
  artifacts: ArtifactStore,
  results: readonly TaskResult[],
): Promise<boolean> {
  const wanted = new Set<ArtifactId>(results.flatMap(artifactsOf));
  return (await artifacts.stat([...wanted])).size === wanted.size;
}

/** Outputs and log of a result. */
export function artifactsOf(result: TaskResult): readonly ArtifactId[] {
  return [...Object.values(result.outputs).map((ref) => ref.digest), result.log.digest];
}
