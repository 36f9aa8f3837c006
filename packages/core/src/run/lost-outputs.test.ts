import { describe, expect, it } from 'vitest';
import { RERUNS_PER_TASK_MAX } from '../words/limits.ts';
import { decide } from './decide.ts';
import { lossesOf } from './lost-outputs.ts';
import { digestOf, RUN, RunFixture } from './run-fixture.test-kit.ts';

const output = { outputs: { out: 'file:/out' } };
const decisions = (run: RunFixture) => decide(run.state, new Set());
const number = (run: RunFixture, task: string) => run.state.index.numberOf(task as never) ?? -1;
const refOf = (task: string) => ({ digest: digestOf(`${task}/out`), kind: 'file', bytes: 3 });

function twoReadByOne(): RunFixture {
  const run = new RunFixture([
    { id: 'a', ...output },
    { id: 'b', ...output },
    { id: 'c', inputs: { in0: 'jobs:a/out', in1: 'jobs:b/out' } },
  ]);
  run.run('a');
  run.run('b');
  run.start('c');
  return run;
}

describe('a task that could not get an input', () => {
  it('has all that it reads of others looked for, before it is offered again', () => {
    const run = twoReadByOne();
    run.miss('c', ['a']);
    const artifacts = [refOf('a'), refOf('b')];
    expect(decisions(run)).toEqual([{ kind: 'find-lost', task: 2, artifacts }]);
  });

  it('is offered when it failed for another reason', () => {
    const run = twoReadByOne();
    run.fail('c', 'peer-lost');
    expect(decisions(run)).toEqual([{ kind: 'offer-task', task: 2 }]);
  });

  it('is offered when what it missed has no producer', () => {
    const named = digestOf('named');
    const run = new RunFixture([
      { id: 'a', ...output },
      { id: 'c', inputs: { in0: named, in1: 'jobs:a/out' } },
    ]);
    run.run('a');
    run.start('c');
    const inputs = { in0: named, in1: digestOf('a/out') };
    const failure = { kind: 'input-missing', message: 'gone', missing: [named], inputs } as const;
    run.failWith('c', failure);
    expect(decisions(run)).toEqual([{ kind: 'offer-task', task: 1 }]);
  });

  it('is offered when its producer was done again too often', () => {
    const run = twoReadByOne();
    run.miss('c', ['a']);
    for (let rerun = 1; rerun <= RERUNS_PER_TASK_MAX; rerun += 1) {
      run.loseOutputs('a', rerun);
      run.run('a', rerun + 1);
      run.start('c', rerun + 1);
      run.miss('c', ['a'], rerun + 1);
    }
    expect(decisions(run)).toEqual([{ kind: 'offer-task', task: 2 }]);
    expect(lossesOf(run.state, RUN, [2], new Set([digestOf('a/out')]))).toEqual([]);
    run.start('c', 5);
    run.miss('c', ['a'], 5);
    run.start('c', 6);
    run.miss('c', ['a'], 6);
    expect(run.task('c')).toMatchObject({ kind: 'failed', failure: { kind: 'input-missing' } });
  });

  it('knows a gathered directory by the name of its input', () => {
    const run = new RunFixture([
      { id: 'a', ...output, count: 2 },
      { id: 'c', inputs: { all: 'jobs:a/out' } },
    ]);
    run.run('a:0');
    run.run('a:1');
    run.start('c');
    const all = digestOf('a listing');
    const failure = { kind: 'input-missing', message: 'gone', missing: [all] } as const;
    run.failWith('c', { ...failure, inputs: { all } });
    const artifacts = [refOf('a:0'), refOf('a:1')];
    expect(decisions(run)).toEqual([{ kind: 'find-lost', task: 2, artifacts }]);
    expect(lossesOf(run.state, RUN, [2], new Set([digestOf('a:1/out')]))).toEqual([
      {
        kind: 'outputs-lost',
        run: RUN,
        task: 'a:1',
        artifacts: [digestOf('a:1/out')],
        rerun: 1,
      },
    ]);
  });

  it('has an image that another task built looked for', () => {
    const run = new RunFixture([
      { id: 'a', ...output },
      { id: 'c', container: 'jobs:a/out' },
    ]);
    run.run('a');
    run.start('c');
    run.miss('c', ['a']);
    expect(decisions(run)).toEqual([{ kind: 'find-lost', task: 1, artifacts: [refOf('a')] }]);
  });
});

describe('losses', () => {
  it('name each producer once, however many miss it', () => {
    const run = new RunFixture([
      { id: 'a', ...output },
      { id: 'c', inputs: { in0: 'jobs:a/out' }, count: 3 },
    ]);
    run.run('a');
    const missing = new Set([digestOf('a/out'), digestOf('other')]);
    const tasks = ['c:0', 'c:1', 'c:2'].map((task) => number(run, task));
    expect(lossesOf(run.state, RUN, tasks, missing)).toMatchObject([{ task: 'a', rerun: 1 }]);
  });

  it('are none when nobody waits for them any more', () => {
    const run = twoReadByOne();
    expect(lossesOf(run.state, RUN, [2], new Set([digestOf('a/out')]))).toEqual([]);
  });
});
