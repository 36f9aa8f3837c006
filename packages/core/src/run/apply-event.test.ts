import { describe, expect, it } from 'vitest';
import { taskId } from '../words/ids.ts';
import { MESH_RETRIES_MAX } from '../words/limits.ts';
import { decide } from './decide.ts';
import { RUN, RunFixture } from './run-fixture.test-kit.ts';

describe('applyEvent', () => {
  it('makes jobs ready when all they depend on has succeeded', () => {
    const run = new RunFixture([
      { id: 'a', outputs: { out: 'file:/a' } },
      { id: 'b', inputs: { a: 'jobs:a/out' } },
      { id: 'c', after: ['b'] },
    ]);
    expect(run.kinds()).toEqual({ a: 'ready', b: 'waiting', c: 'waiting' });
    run.run('a');
    expect(run.kinds()).toEqual({ a: 'succeeded', b: 'ready', c: 'waiting' });
    run.run('b');
    expect(run.kinds()).toEqual({ a: 'succeeded', b: 'succeeded', c: 'ready' });
  });

  it('waits for every element of an array job, or for just the one that is wanted', () => {
    const run = new RunFixture([
      { id: 'map', count: 2, outputs: { out: 'file:/o' } },
      { id: 'all', inputs: { m: 'jobs:map/out' } },
      { id: 'one', inputs: { m: 'jobs:map:1/out' } },
    ]);
    run.run('map:1');
    expect(run.task('all').kind).toBe('waiting');
    expect(run.task('one').kind).toBe('ready');
    run.run('map:0');
    expect(run.task('all').kind).toBe('ready');
  });

  it('skips everything behind a failed job and nothing else', () => {
    const run = new RunFixture([
      { id: 'bad', outputs: { out: 'file:/o' } },
      { id: 'next', inputs: { x: 'jobs:bad/out' }, outputs: { out: 'file:/o' } },
      { id: 'last', inputs: { x: 'jobs:next/out' } },
      { id: 'other' },
    ]);
    run.start('bad');
    run.fail('bad', 'exit');
    expect(run.kinds()).toEqual({
      bad: 'failed',
      next: 'skipped',
      last: 'skipped',
      other: 'ready',
    });
    expect(run.task('last')).toEqual({ kind: 'skipped', because: 'bad' });
    expect(run.state.counts).toMatchObject({ failed: 1, skipped: 2 });
  });

  it('lets those run that want just a healthy element of a failing array job', () => {
    const run = new RunFixture([
      { id: 'map', count: 3, outputs: { out: 'file:/o' } },
      { id: 'second', inputs: { m: 'jobs:map:1/out' } },
      { id: 'third', inputs: { m: 'jobs:map:2/out' } },
      { id: 'all', inputs: { m: 'jobs:map/out' } },
    ]);
    run.start('map:2');
    run.fail('map:2', 'exit');
    expect(run.kinds()).toMatchObject({ second: 'waiting', third: 'skipped', all: 'skipped' });
    run.run('map:1');
    expect(run.task('second').kind).toBe('ready');
  });

  it('repeats what the mesh spoiled for free and what the task spoiled as often as it may', () => {
    const run = new RunFixture([{ id: 'a', retries: 1 }]);
    run.start('a', 1);
    run.lose('a', 1);
    expect(run.task('a')).toMatchObject({ kind: 'ready', sequence: 2 });
    run.start('a', 2);
    run.fail('a', 'exit', 2);
    expect(run.task('a')).toMatchObject({ kind: 'ready', sequence: 4 });
    run.start('a', 3);
    run.fail('a', 'exit', 3);
    expect(run.task('a')).toMatchObject({ kind: 'failed', failure: { kind: 'exit' } });
  });

  it('holds a task that lost two peers until a person releases it, who forgives what was', () => {
    const run = new RunFixture([
      { id: 'a', outputs: { out: 'file:/o' } },
      { id: 'b', after: ['a'] },
    ]);
    for (const attempt of [1, 2]) {
      run.start('a', attempt, `p${attempt}`);
      run.lose('a', attempt, `p${attempt}`);
    }
    expect(run.task('a')).toMatchObject({
      kind: 'held',
      sequence: 4,
      failure: { kind: 'peer-lost' },
    });
    expect([...run.state.held, ...run.state.ready]).toEqual([0]);
    expect(decide(run.state, new Set())).toEqual([]);
    run.tell({ kind: 'task-released', run: RUN, task: taskId('a'), by: 'me' });
    expect(run.task('a')).toMatchObject({ kind: 'ready', sequence: 5, forgiven: 2 });
    expect(run.state.held.size).toBe(0);
    run.start('a', 3, 'p3');
    run.lose('a', 3, 'p3');
    expect(run.task('a')).toMatchObject({ kind: 'ready', past: { length: 3 } });
    run.start('a', 4, 'p4');
    run.lose('a', 4, 'p4');
    expect(run.task('a').kind).toBe('held');
  });

  it('cancels what is held; a release that comes later releases nothing', () => {
    const run = new RunFixture([{ id: 'a' }]);
    for (const attempt of [1, 2]) {
      run.start('a', attempt, `p${attempt}`);
      run.lose('a', attempt, `p${attempt}`);
    }
    run.tell({ kind: 'run-cancel-requested', run: RUN, by: 'me', reason: 'enough' });
    run.tell({ kind: 'task-released', run: RUN, task: taskId('a'), by: 'me' });
    expect(run.kinds()).toEqual({ a: 'cancelled' });
    expect(decide(run.state, new Set())).toMatchObject([{ kind: 'end-run', state: 'cancelled' }]);
  });

  it('gives up in the end when the mesh loses a task again and again', () => {
    const run = new RunFixture([{ id: 'a' }]);
    for (let attempt = 1; attempt <= MESH_RETRIES_MAX; attempt += 1) {
      run.start('a', attempt);
      run.lose('a', attempt);
      expect(run.task('a').kind).toBe('ready');
    }
    run.start('a', MESH_RETRIES_MAX + 1);
    run.lose('a', MESH_RETRIES_MAX + 1);
    expect(run.task('a').kind).toBe('failed');
  });

  it('cancels what has not started, and what runs when it ends', () => {
    const run = new RunFixture([{ id: 'a' }, { id: 'b' }, { id: 'c', after: ['b'] }]);
    run.start('a');
    run.tell({ kind: 'run-cancel-requested', run: RUN, by: 'me', reason: 'enough' });
    expect(run.kinds()).toEqual({ a: 'running', b: 'cancelled', c: 'cancelled' });
    run.fail('a', 'cancelled');
    expect(run.kinds()).toEqual({ a: 'cancelled', b: 'cancelled', c: 'cancelled' });
    expect(run.state.counts.cancelled).toBe(3);
  });

  it('follows a peer that started a task before it could know of the cancellation', () => {
    const run = new RunFixture([{ id: 'a' }]);
    run.tell({ kind: 'run-cancel-requested', run: RUN, by: 'me', reason: 'enough' });
    run.start('a');
    expect(run.state.counts.cancelled).toBe(0);
    run.succeed('a');
    expect(run.state.counts).toMatchObject({ cancelled: 0, succeeded: 1 });
  });

  it('ignores what was folded before and what comes after the end', () => {
    const run = new RunFixture([{ id: 'a' }]);
    run.run('a');
    const { counts } = run.state;
    run.tell({
      kind: 'run-ended',
      run: RUN,
      state: 'succeeded',
      counts,
      record: `sha256:${'0'.repeat(64)}` as never,
    });
    run.start('a', 2);
    expect(run.kinds()).toEqual({ a: 'succeeded' });
  });

  it('refuses an outcome without its start: the log cannot hold one', () => {
    const run = new RunFixture([{ id: 'a' }]);
    expect(() => run.succeed('a')).toThrow('broken invariant');
  });
});

describe('a large array whose every element fails', () => {
  it('looks at its dependents once, not once for each element', () => {
    const count = 20_000;
    const run = new RunFixture([
      { id: 'map', count, outputs: { out: 'file:/o' } },
      { id: 'all', inputs: { m: 'jobs:map/out' } },
    ]);
    for (let element = 0; element < count; element += 1) {
      run.start(`map:${element}`);
      run.fail(`map:${element}`, 'exit');
    }
    expect(run.state.counts).toMatchObject({ failed: count, skipped: 1 });
  });
});

describe('a job on which as many depend as a document can hold', () => {
  it('fails, and a few at a time they are skipped or fenced', () => {
    const rest = Array.from({ length: 130_000 }, (_, at) => ({ id: `b${at}`, after: ['a'] }));
    const run = new RunFixture([{ id: 'a' }, ...rest]);
    run.start('a');
    run.fail('a', 'exit');
    expect(run.state.counts).toMatchObject({ failed: 1, skipped: 130_000 });

    const cancelled = new RunFixture([{ id: 'a', count: 5_000 }]);
    cancelled.cancel();
    const fences = decide(cancelled.state, new Set());
    expect(fences).toHaveLength(2_000);
    for (const fence of fences) {
      if (fence.kind === 'fence-task') cancelled.fence(`a:${fence.task}`);
    }
    expect(decide(cancelled.state, new Set())[0]).toMatchObject({ task: 2_000 });
  });
});
