import type { Mesh } from '@podmesh/jetstream';
import { systemClock } from '@podmesh/transfer';
import type { DaemonParts } from '../daemon-parts.ts';
import type { StartedParts } from '../started-parts.ts';
import { MeshSweep, type MeshSweepParts } from './mesh-sweep.ts';

/** Of a peer that may remove what nothing refers to, for as long as it may. */
export function openSweep(
  { logger }: DaemonParts,
  started: StartedParts,
  { shelf, references, retention, artifacts: objects }: Mesh,
  { held, mayRemove }: Pick<MeshSweepParts, 'held' | 'mayRemove'>,
): void {
  const random = Math.random;
  const mesh = { shelf, references, retention, objects };
  const parts = { ...mesh, clock: systemClock, logger, random, held, mayRemove };
  const sweep = new MeshSweep(parts);
  started.add('sweep of the object store', () => sweep.stop());
  sweep.start();
}
