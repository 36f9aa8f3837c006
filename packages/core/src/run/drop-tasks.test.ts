import { describe, expect, it } from 'vitest';
import { parseSpawn } from '../graph/parse-spawn.ts';
import { claimId, taskId } from '../words/ids.ts';
import { assert } from '../words/unreachable.ts';
import { decide } from './decide.ts';
import type { SubTasksDropped } from './run-event.ts';
import { fakeSha256, RUN, RunFixture } from './run-fixture.test-kit.ts';
import { spawnerOf, spawnSequence } from './spawn-tasks.ts';

const none = new Set<number>();

const by = (parent: string, attempt: number) => ({
  run: RUN,
  parent: taskId(parent),
  attempt,
  claim: claimId(`${parent.replace(':', '_')}-${attempt}`),
});

function spawn(run: RunFixture, parent: string, key: string, jobs: readonly object[]): void {
  const spawner = spawnerOf(run.state, taskId(parent), fakeSha256);
  assert(spawner !== undefined, 'the parent is there');
  const read = parseSpawn({ key, jobs }, spawner);
  if (!read.ok) throw new Error(JSON.stringify(read.error));
  run.tell({ kind: 'tasks-spawned', ...by(parent, 1), key, jobs: read.value });
}

const drops = (parent: string, tasks: readonly string[], attempt = 1): SubTasksDropped => ({
  kind: 'sub-tasks-dropped',
  ...by(parent, attempt),
  tasks: tasks.map(taskId),
});

describe('what a task wants no more', () => {
  it('never begins, or is told to end, and is no failure of the run', () => {
    const run = new RunFixture([{ id: 'a' }]);
    run.start('a');
    spawn(run, 'a', 'k', [{ id: 'x', count: 3, outputs: { out: 'fd:1' } }]);
    spawn(run, 'a', 'l', [{ inputs: { in: 'jobs:a--k:0/out' } }]);
    run.run('a--k:1');
    run.start('a--k:2');
    run.tell(drops('a', ['a--k:0', 'a--k:1', 'a--k:2']));
    expect(spawnSequence(run.state, taskId('a'))).toBe(run.state.sequence);
    expect(run.kinds()).toEqual({
      ...{ a: 'running', 'a--k:0': 'cancelled', 'a--k:1': 'succeeded' },
      ...{ 'a--k:2': 'running', 'a--l': 'skipped' },
    });
    const [stop, fence] = decide(run.state, none);
    expect(stop).toMatchObject({ kind: 'stop-task', task: 3 });
    expect(fence).toMatchObject({ kind: 'fence-task', task: 1 });
    run.fail('a--k:2', 'cancelled');
    expect(run.kinds()).toMatchObject({ 'a--k:2': 'cancelled' });
    run.tell({ kind: 'task-cancelled', run: RUN, task: taskId('a--k:0') });
    run.succeed('a');
    expect(decide(run.state, none)).toMatchObject([{ kind: 'end-run', state: 'succeeded' }]);
  });

  it('takes along what it spawned itself, also after it was dropped', () => {
    const run = new RunFixture([{ id: 'a' }]);
    run.start('a');
    spawn(run, 'a', 'k', [{ retries: 3 }]);
    run.start('a--k');
    spawn(run, 'a--k', 'm', [{}]);
    run.tell(drops('a', ['a--k']));
    spawn(run, 'a--k', 'n', [{}]);
    expect(run.kinds()).toMatchObject({ 'a--k--m': 'cancelled', 'a--k--n': 'ready' });
    run.fail('a--k', 'exit');
    expect(run.kinds()).toMatchObject({ 'a--k': 'cancelled', 'a--k--n': 'cancelled' });
  });

  it('is only what is below it, and only while its attempt is open', () => {
    const run = new RunFixture([{ id: 'a', retries: 2 }, { id: 'b' }]);
    run.start('a');
    spawn(run, 'a', 'k', [{}]);
    run.tell(drops('a', ['a', 'b']));
    run.tell(drops('b', ['a--k']));
    run.lose('a');
    run.tell(drops('a', ['a--k']));
    expect(run.kinds()).toEqual({ a: 'ready', b: 'ready', 'a--k': 'ready' });
    run.start('a', 2, 'p2');
    run.tell(drops('a', ['a--k'], 2));
    expect(run.kinds()).toMatchObject({ 'a--k': 'cancelled' });
    // An offer that was on its way started it before it was fenced: the driver ends that.
    run.start('a--k');
    expect(decide(run.state, none)[0]).toMatchObject({ kind: 'stop-task' });
  });

  it('does not fail the run when it was at work and ends after its parent', () => {
    const run = new RunFixture([{ id: 'a' }]);
    run.start('a');
    const jobs = [
      { id: 'x', outputs: { out: 'fd:1' } },
      { id: 'y', inputs: { in: 'jobs:x/out' } },
    ];
    spawn(run, 'a', 'k', jobs);
    run.start('a--k--x');
    run.tell(drops('a', ['a--k--x']));
    expect(run.kinds()).toMatchObject({ 'a--k--x': 'running', 'a--k--y': 'skipped' });
    run.succeed('a');
    run.fail('a--k--x', 'cancelled');
    expect(decide(run.state, none)).toMatchObject([{ kind: 'end-run', state: 'succeeded' }]);
  });
});
