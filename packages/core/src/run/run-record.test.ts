import { describe, expect, it } from 'vitest';
import { taskId } from '../words/ids.ts';
import type { RunPublished } from './run-event.ts';
import { digestOf, RUN, RunFixture, resultOf } from './run-fixture.test-kit.ts';
import { buildRecord, recordTask } from './run-record.ts';

const published: RunPublished = {
  kind: 'run-published',
  run: RUN,
  graph: { kind: 'artifact', artifact: digestOf('graph') },
  taskCount: 1,
  publisher: 'me@here',
};
const bare = { inputs: {}, outputs: {}, attempts: [], cached: false };

describe('the record of a run', () => {
  it('tells one that has just begun', () => {
    const run = new RunFixture([{ id: 'a' }, { id: 'b', count: 1, after: ['a'] }]);
    expect(buildRecord({ ...published, taskCount: 2 }, run.state, { published: 'then' })).toEqual({
      podmeshRecord: 1,
      run: RUN,
      state: 'running',
      publisher: 'me@here',
      publishedAt: 'then',
      counts: { tasks: 2, succeeded: 0, cached: 0, failed: 0, skipped: 0, cancelled: 0 },
      tasks: [
        { task: 'a', job: 'a', state: 'ready', ...bare },
        { task: 'b:0', job: 'b', index: 0, state: 'waiting', ...bare },
      ],
    });
  });

  it('tells what was done again, and where outputs are kept', () => {
    const run = new RunFixture([{ id: 'a', outputs: { out: 'file:/out' } }]);
    run.run('a');
    expect(recordTask(run.state, 0)).not.toHaveProperty('reruns');
    run.loseOutputs('a');
    run.run('a', 2);
    run.keep('a', 'no room');
    const told = { reruns: 1, keepers: ['p1', 'p2'], short: 'no room' };
    expect(recordTask(run.state, 0)).toMatchObject(told);
    expect(recordTask(run.state, 0).attempts).toHaveLength(2);
  });

  it('tells its end, from the log or from whoever is about to write it', () => {
    const run = new RunFixture([{ id: 'a' }]);
    run.run('a');
    const times = { published: 'then', ended: 'now', state: 'succeeded' } as const;
    expect(buildRecord({ ...published, name: 'n' }, run.state, times)).toMatchObject({
      name: 'n',
      state: 'succeeded',
      endedAt: 'now',
      counts: { tasks: 1, succeeded: 1 },
    });
  });
});

describe('the record of a task', () => {
  it('that succeeded has its result and all of its attempts', () => {
    const run = new RunFixture([{ id: 'a', retries: 1 }]);
    run.start('a', 1);
    run.fail('a', 'exit', 1);
    run.start('a', 2, 'p2');
    expect(recordTask(run.state, 0).attempts).toMatchObject([
      { attempt: 1, peer: 'p1', outcome: 'exit', message: 'a had exit' },
      { attempt: 2, peer: 'p2', outcome: 'running' },
    ]);
    run.succeed('a', 2);
    const { exit, usage, machine } = resultOf('a');
    expect(recordTask(run.state, 0)).toMatchObject({
      state: 'succeeded',
      cached: false,
      outputs: { out: digestOf('a/out'), dir: digestOf('a/dir') },
      log: digestOf('a/log'),
      exit,
      usage,
      machine,
      attempts: [{ outcome: 'exit' }, { attempt: 2, peer: 'p2', outcome: 'succeeded' }],
    });
  });

  it('that failed, and those that this made pointless', () => {
    const run = new RunFixture([{ id: 'a' }, { id: 'b', after: ['a'] }]);
    run.start('a');
    run.fail('a', 'timeout');
    const failure = { kind: 'timeout', message: 'a had timeout' };
    expect(recordTask(run.state, 0)).toMatchObject({ state: 'failed', failure });
    expect(recordTask(run.state, 1)).toEqual({
      task: 'b',
      job: 'b',
      state: 'skipped',
      because: 'a',
      ...bare,
    });
  });

  it('that came from the cache has no attempts', () => {
    const run = new RunFixture([{ id: 'a' }]);
    run.tell({
      kind: 'task-cached',
      run: RUN,
      task: taskId('a'),
      action: digestOf('action') as never,
      result: resultOf('a'),
    });
    expect(recordTask(run.state, 0)).toMatchObject({
      state: 'succeeded',
      cached: true,
      attempts: [],
    });
  });

  it('that does not exist is a crash', () => {
    const run = new RunFixture([{ id: 'a' }]);
    expect(() => recordTask(run.state, 1)).toThrow('broken invariant');
  });
});
