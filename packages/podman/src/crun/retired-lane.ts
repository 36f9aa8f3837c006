import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { AttemptFiles } from './attempt-files.ts';
import { findProcess, sendSignal } from './container-process.ts';
import { ATTEMPTS_MAX } from './crun-limits.ts';
import { hasCrunAttempts, lanePlaces } from './lane-places.ts';

/** What became of containers in a lane that nothing is started in any more. */
type RetiredLane<Lane> =
  | { readonly kind: 'none' }
  | { readonly kind: 'kept'; readonly lane: Lane }
  /** Nobody could have looked after them; `problem` says why. */
  | { readonly kind: 'ended'; readonly problem: string };

/**
 * Opens a lane for the containers that an earlier daemon left there. Where that cannot be, they end:
 * a container that nobody watches would go on beside the next attempt at its task.
 */
export async function openRetiredLane<Lane>(
  directory: string,
  open: () => Promise<Lane>,
): Promise<RetiredLane<Lane>> {
  if (!(await hasCrunAttempts(directory))) return { kind: 'none' };
  try {
    return { kind: 'kept', lane: await open() };
  } catch (error) {
    await endCrunContainers(directory);
    return { kind: 'ended', problem: error instanceof Error ? error.message : String(error) };
  }
}

/**
 * Without anything that the lane needs. Directories first: a chain without one does not start its
 * container any more, and does not wait until somebody has read its exit. What lies on the disk stays
 * until the lane can be opened again.
 */
async function endCrunContainers(directory: string): Promise<void> {
  const { attempts, state } = lanePlaces(directory);
  for (const peer of await namesIn(attempts)) {
    for (const name of await namesIn(join(attempts, peer))) {
      new AttemptFiles(join(attempts, peer, name)).remove();
    }
  }
  for (const id of await namesIn(state)) {
    const found = await findProcess(state, id);
    if (found !== undefined) sendSignal(found, 'SIGKILL');
  }
}

async function namesIn(directory: string): Promise<readonly string[]> {
  return (await readdir(directory).catch(() => [])).slice(0, ATTEMPTS_MAX);
}
