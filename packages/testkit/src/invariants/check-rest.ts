import type { RunId, TaskId } from '@podmesh/core';
import type { FakeMesh } from '../mesh/fake-mesh.ts';
import type { ContainerHost } from '../runtime/container-host.ts';
import type { FakeContainer } from '../runtime/fake-container.ts';
import type { Violation } from './check-log.ts';

/** What must be gone once all runs have ended and the mesh has come to rest. */
export function checkAtRest(mesh: FakeMesh, hosts: readonly ContainerHost[]): readonly Violation[] {
  const offers = mesh.offers.all().map(({ value }) => `offer of ${value.run} ${value.task}`);
  const drives = mesh.drives.all().map(({ value }) => `drive of ${value}`);
  const containers = hosts.flatMap((host) =>
    host.containers.map(({ id, spec }) => `container ${id} of ${spec.labels.task}`),
  );
  return [...offers, ...drives, ...containers].map((what) => `${what} is left over`);
}

/** Two containers that ran for the same task at the same time. */
export interface Overlap {
  readonly run: RunId;
  readonly task: TaskId;
  readonly fromMs: number;
  readonly first: FakeContainer;
  readonly second: FakeContainer;
}

/**
 * Executions of one task that overlapped: allowed only while a peer was cut off or frozen (at least
 * once, DESIGN §3), so the test decides what it accepts.
 */
export function overlaps(hosts: readonly ContainerHost[]): readonly Overlap[] {
  const found: Overlap[] = [];
  for (const containers of executionsByTask(hosts).values()) {
    containers.sort((a, b) => a.startedMs - b.startedMs);
    for (const [index, second] of containers.entries()) {
      const { run, task } = second.spec.labels;
      const fromMs = second.startedMs;
      for (const first of containers.slice(0, index)) {
        if ((first.endedMs ?? Number.POSITIVE_INFINITY) > fromMs) {
          found.push({ run, task, fromMs, first, second });
        }
      }
    }
  }
  return found;
}

/** How often each task's container was started, all machines together; by `<run> <task>`. */
export function executionsByTask(
  hosts: readonly ContainerHost[],
): ReadonlyMap<string, FakeContainer[]> {
  const byTask = new Map<string, FakeContainer[]>();
  for (const container of hosts.flatMap((host) => host.executions)) {
    const key = `${container.spec.labels.run} ${container.spec.labels.task}`;
    const list = byTask.get(key);
    if (list === undefined) byTask.set(key, [container]);
    else list.push(container);
  }
  return byTask;
}
