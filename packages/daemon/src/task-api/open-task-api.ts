import { loadGraph, type Mesh } from '@podmesh/jetstream';
import { listenInContainer } from '@podmesh/podman';
import { systemClock } from '@podmesh/transfer';
import type { DaemonParts } from '../daemon-parts.ts';
import type { AttemptJournal } from '../execute/attempt-journal.ts';
import type { TaskKeys } from '../membership/task-keys.ts';
import type { StartedParts } from '../started-parts.ts';
import { type LocalTaskFiles, sha256 } from '../store/local-task-files.ts';
import { RollCall } from '../store/roll-call.ts';
import { TaskApi } from './task-api.ts';
import { TaskLines } from './task-lines.ts';

export interface TaskApiPlace {
  readonly mesh: Mesh;
  readonly journal: AttemptJournal;
  readonly files: LocalTaskFiles;
  readonly randomId: () => string;
  /** With which it signs for tasks. */
  readonly taskKeys: TaskKeys;
}

/** Containers of an earlier session find their socket again where it was. */
export async function openTaskApi(
  parts: DaemonParts,
  started: StartedParts,
  { mesh, journal, files, randomId, taskKeys }: TaskApiPlace,
): Promise<TaskApi> {
  const { home, logger, peer } = parts;
  const desk = new TaskApi({
    ...mesh,
    artifacts: mesh.everywhere,
    ...{ log: mesh.runLog, files, peer, logger, randomId, sha256, clock: systemClock },
    loadGraph: (published) => loadGraph(mesh.artifacts, published),
    rollCall: (signal) =>
      new RollCall({ objects: mesh.artifacts, finder: mesh.finder, clock: systemClock }, signal),
    lines: openLines(parts, mesh, taskKeys),
    home: home.path,
    env: process.env,
  });
  started.add('task API', () => desk.stop());
  await desk.start(new Set((await journal.list()).map(({ claim }) => claim)));
  return desk;
}

/** Undefined in a mesh without an authority: whoever has its token may do everything, so no task gets it. */
function openLines({ logger }: DaemonParts, mesh: Mesh, keys: TaskKeys): TaskLines | undefined {
  if (!keys.isThere) return undefined;
  const lines = new TaskLines({
    questions: mesh.questions,
    mint: (attempt, expiresAtMs) => keys.mint({ ...attempt, expiresAtMs }),
    listen: listenInContainer,
    letIn: (inside, signal) => mesh.letIn(inside, signal),
    nowMs: Date.now,
    logger,
  });
  keys.onChange(() => void lines.reissue());
  return lines;
}
