import type { TaskId } from '@podmesh/core';
import type { Mesh } from '@podmesh/jetstream';
import type { PublishedRun } from './published-run.ts';

const SPEAK_MS = 300_000;

/**
 * Each task once, when the first output of an attempt (any, or the given one) has reached the mesh:
 * its container surely runs. Ends when nobody asks for more.
 */
export async function* tasksThatSpeak(
  mesh: Mesh,
  run: PublishedRun,
  attempt?: number,
): AsyncGenerator<TaskId> {
  const enough = new AbortController();
  const late = AbortSignal.timeout(SPEAK_MS);
  const heard = new Set<TaskId>();
  try {
    const signal = AbortSignal.any([enough.signal, late]);
    for await (const chunk of mesh.liveLog.follow(run.run, undefined, signal)) {
      if (heard.has(chunk.task) || chunk.attempt !== (attempt ?? chunk.attempt)) continue;
      heard.add(chunk.task);
      yield chunk.task;
    }
    throw new Error(`heard only ${[...heard].join(', ') || 'nothing'}; ${run.told()}`);
  } finally {
    enough.abort();
  }
}

/** Resolves when that many tasks have said something. */
export async function untilSpoken(
  mesh: Mesh,
  run: PublishedRun,
  { tasks = 1, attempt }: { readonly tasks?: number; readonly attempt?: number } = {},
): Promise<void> {
  let spoken = 0;
  for await (const _ of tasksThatSpeak(mesh, run, attempt)) {
    spoken += 1;
    if (spoken === tasks) return;
  }
}
