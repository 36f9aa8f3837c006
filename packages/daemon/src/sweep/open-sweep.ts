import type { ArtifactId } from '@podmesh/core';
import type { Mesh } from '@podmesh/jetstream';
import { systemClock } from '@podmesh/transfer';
import type { DaemonParts } from '../daemon-parts.ts';
import type { StartedParts } from '../started-parts.ts';
import { MeshSweep } from './mesh-sweep.ts';

/** `held`: what tasks of this peer put that nothing refers to yet. */
export function openSweep(
  { logger }: DaemonParts,
  started: StartedParts,
  { shelf, references, retention, artifacts: objects }: Mesh,
  held: () => readonly ArtifactId[],
): void {
  const random = Math.random;
  const parts = { shelf, references, retention, objects, clock: systemClock, logger, random, held };
  const sweep = new MeshSweep(parts);
  started.add('sweep of the object store', () => sweep.stop());
  sweep.start();
}
