import type { Job } from '../graph/graph.ts';
import { parseSpawn } from '../graph/parse-spawn.ts';
import { claimId, taskId } from '../words/ids.ts';
import { assert } from '../words/unreachable.ts';
import type { TasksSpawned } from './run-event.ts';
import { fakeSha256, RUN, type RunFixture } from './run-fixture.test-kit.ts';
import { spawnerOf } from './spawn-tasks.ts';

/** What a task asks for, as its peer would append it. */
export function asks(
  run: RunFixture,
  parent: string,
  key: string,
  jobs: readonly object[],
  attempt = 1,
): TasksSpawned {
  return { ...told(parent, key, attempt), jobs: parsed(run, parent, key, jobs) };
}

export function told(parent: string, key: string, attempt: number): Omit<TasksSpawned, 'jobs'> {
  const claim = claimId(`${parent.replace(':', '_')}-${attempt}`);
  return { kind: 'tasks-spawned', run: RUN, parent: taskId(parent), attempt, claim, key };
}

export function parsed(
  run: RunFixture,
  parent: string,
  key: string,
  jobs: readonly object[],
): readonly Job[] {
  const spawner = spawnerOf(run.state, taskId(parent), fakeSha256);
  assert(spawner !== undefined, 'the parent is there');
  const read = parseSpawn({ key, jobs }, spawner);
  if (!read.ok) throw new Error(JSON.stringify(read.error));
  return read.value;
}
