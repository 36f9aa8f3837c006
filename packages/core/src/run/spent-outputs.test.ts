import { describe, expect, it } from 'vitest';
import { lossOf } from './lost-outputs.ts';
import { RUN, RunFixture, resultOf } from './run-fixture.test-kit.ts';
import { spentTasks } from './spent-outputs.ts';
import { UnknownFactError } from './unknown-fact-error.ts';

const output = { outputs: { out: 'file:/out' } };
const reader = { id: 'b', inputs: { in0: 'jobs:a/out' }, ...output };

/** `a` left more than the object store takes. */
function withBulk(asked: object, ...jobs: readonly object[]): RunFixture {
  const run = new RunFixture([{ id: 'a', ...output, ...asked }, ...jobs]);
  const task = 'a' as never;
  const result = { ...resultOf('a'), bulk: true } as const;
  run.tell({ kind: 'task-cached', run: RUN, task, action: 'x' as never, result });
  return run;
}

describe('outputs that nobody is going to read again', () => {
  it('are those of which every reader is settled, however it ended', () => {
    const run = withBulk({}, reader, { ...reader, id: 'c' });
    expect(spentTasks(run.state, 0)).toEqual([]);
    run.run('b');
    expect(spentTasks(run.state, 0)).toEqual([]);
    run.start('c');
    run.fail('c', 'exit');
    expect(spentTasks(run.state, 0)).toEqual([0]);
  });

  it.each([
    ['kept', { keep: true }, [reader]],
    ['asked for in so many copies', { replicas: 1 }, [reader]],
    ['what the run is for', {}, [{ ...reader, inputs: {} }]],
  ])('are none that are %s', (_, asked, jobs) => {
    const run = withBulk(asked, ...jobs);
    run.run('b');
    expect(spentTasks(run.state, 0)).toEqual([]);
  });

  it('are none while one of their own job is made again', () => {
    const run = withBulk({}, reader);
    run.run('b');
    run.loseOutputs('a');
    expect(spentTasks(run.state, 0)).toEqual([]);
  });
});

describe('outputs that were lost before they were copied', () => {
  it('are made again so often and no more, and not in a cancelled run', () => {
    const run = withBulk({});
    expect(lossOf(run.state, RUN, 0, [])).toMatchObject({ kind: 'outputs-lost', rerun: 1 });
    run.state.reruns.set(0, 3);
    expect(lossOf(run.state, RUN, 0, [])).toBeUndefined();
    run.state.reruns.clear();
    run.cancel();
    expect(lossOf(run.state, RUN, 0, [])).toBeUndefined();
  });
});

it('a fact of a later version is not folded over', () => {
  const run = new RunFixture([{ id: 'a' }]);
  const unknown = { kind: 'task-forked', run: RUN, task: 'a' } as never;
  expect(() => run.tell(unknown)).toThrow(UnknownFactError);
  expect(() => run.tell(unknown)).toThrow('update podmesh on this machine');
});
