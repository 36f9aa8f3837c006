import { describe, expect, it } from 'vitest';
import type { Job } from '../graph/graph.ts';
import { KEEPS_PER_RUN_MAX } from '../words/limits.ts';
import { decide } from './decide.ts';
import { RUN, RunFixture, resultOf } from './run-fixture.test-kit.ts';

const output = { outputs: { out: 'file:/out' } };
const decisions = (run: RunFixture) => decide(run.state, new Set());

/** The task leaves more than the object store takes. */
function succeedWithBulk(run: RunFixture, task: string): void {
  run.tell({
    kind: 'task-cached',
    run: RUN,
    task: task as never,
    action: 'x' as never,
    result: { ...resultOf(task), bulk: true },
  });
}

function afterOne(
  asked: Pick<Job, 'replicas' | 'keep'> = {},
  ...others: readonly object[]
): RunFixture {
  const run = new RunFixture([{ id: 'a', ...output }, ...others]);
  // Documents cannot ask for it as yet.
  Object.assign(run.state.graph.jobs[0] ?? {}, asked);
  succeedWithBulk(run, 'a');
  return run;
}

describe('outputs that are on the disk of one peer', () => {
  it('are brought to a second one before the run ends', () => {
    const run = afterOne();
    expect(decisions(run)).toEqual([{ kind: 'keep-outputs', task: 0, copies: 2 }]);
    run.keep('a');
    expect(run.task('a')).toMatchObject({ keepers: ['p1', 'p2'], sequence: 2 });
    expect(decisions(run)).toMatchObject([{ kind: 'end-run', state: 'succeeded' }]);
  });

  it('are waited for no longer when their driver said why not', () => {
    const run = afterOne();
    run.keep('a', 'only one peer is in the mesh');
    expect(decisions(run)).toMatchObject([{ kind: 'end-run' }]);
    expect(run.task('a')).toHaveProperty('short', 'only one peer is in the mesh');
  });

  const reader = { id: 'b', inputs: { in0: 'jobs:a/out' } };
  it.each<readonly [string, Pick<Job, 'replicas' | 'keep'>, readonly object[], number]>([
    ['as many as are asked for', { replicas: 3 }, [], 3],
    ['as many as are asked for, although others read them', { replicas: 4 }, [reader], 4],
    ['two when they are to be kept, although others read them', { keep: true }, [reader], 2],
    ['two although another job comes after it', {}, [{ id: 'b', after: ['a'] }], 2],
  ])('are wanted %s', (_, job, others, copies) => {
    const run = afterOne(job, ...others);
    expect(decisions(run)).toContainEqual({ kind: 'keep-outputs', task: 0, copies });
  });

  it.each<readonly [string, Pick<Job, 'replicas' | 'keep'>, readonly object[]]>([
    ['others read them', {}, [reader]],
    ['one copy is asked for', { replicas: 1 }, []],
  ])('stay alone when %s', (_, job, others) => {
    expect(decisions(afterOne(job, ...others))).not.toContainEqual(
      expect.objectContaining({ kind: 'keep-outputs' }),
    );
  });

  it('are copied while the run goes on, and in a cancelled one as well', () => {
    const run = afterOne({}, { id: 'b' });
    expect(decisions(run).map(({ kind }) => kind)).toEqual(['keep-outputs', 'offer-task']);
    run.cancel();
    expect(decisions(run).map(({ kind }) => kind)).toEqual(['fence-task', 'keep-outputs']);
  });

  it('are copied a few at a time', () => {
    const run = new RunFixture([{ id: 'a', ...output, count: KEEPS_PER_RUN_MAX + 5 }]);
    for (let at = 0; at < KEEPS_PER_RUN_MAX + 5; at += 1) succeedWithBulk(run, `a:${at}`);
    expect(decisions(run)).toHaveLength(KEEPS_PER_RUN_MAX);
  });

  it('need no copy when they are lost first', () => {
    const run = afterOne();
    run.loseOutputs('a');
    expect(decisions(run)).toEqual([{ kind: 'offer-task', task: 0 }]);
    // A driver that did not see that tells where they are: only the place of the next fact moves.
    run.keep('a');
    expect(run.task('a')).toMatchObject({ kind: 'ready', sequence: 3 });
  });

  it('that were lost, their run cancelled, are fenced behind what was told of them', () => {
    const run = afterOne({}, { id: 'b' });
    run.loseOutputs('a');
    run.cancel();
    run.keep('a');
    expect(decisions(run)).toContainEqual({ kind: 'fence-task', task: 0, sequence: 4 });
  });
});

it('small outputs need no keeper', () => {
  const run = new RunFixture([{ id: 'a', ...output }]);
  run.run('a');
  expect(decisions(run)).toMatchObject([{ kind: 'end-run' }]);
});
