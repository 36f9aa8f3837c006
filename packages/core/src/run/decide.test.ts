import { describe, expect, it } from 'vitest';
import { taskId } from '../words/ids.ts';
import { decide } from './decide.ts';
import { RUN, RunFixture } from './run-fixture.test-kit.ts';

const none = new Set<number>();

describe('decide', () => {
  it('offers what is ready and not offered, within the window', () => {
    const run = new RunFixture([{ id: 'a', count: 5 }]);
    expect(decide(run.state, none, 3).map((d) => 'task' in d && d.task)).toEqual([0, 1, 2]);
    expect(decide(run.state, new Set([0, 1]), 3).map((d) => 'task' in d && d.task)).toEqual([2]);
    expect(decide(run.state, new Set([0, 1, 2]), 3)).toEqual([]);
  });

  it('ends a run once everything is settled, with the one word that fits', () => {
    const good = new RunFixture([{ id: 'a' }]);
    expect(decide(good.state, none)).toMatchObject([{ kind: 'offer-task' }]);
    good.run('a');
    expect(decide(good.state, none)).toMatchObject([{ kind: 'end-run', state: 'succeeded' }]);

    const bad = new RunFixture([{ id: 'a' }, { id: 'b' }]);
    bad.run('b');
    bad.start('a');
    bad.fail('a', 'exit');
    expect(decide(bad.state, none)).toMatchObject([{ kind: 'end-run', state: 'failed' }]);

    const cancelled = new RunFixture([{ id: 'a' }]);
    cancelled.tell({ kind: 'run-cancel-requested', run: RUN, by: 'me', reason: '' });
    expect(decide(cancelled.state, none)).toEqual([{ kind: 'fence-task', task: 0, sequence: 0 }]);
    cancelled.tell({ kind: 'task-cancelled', run: RUN, task: taskId('a') });
    expect(decide(cancelled.state, none)).toMatchObject([{ kind: 'end-run', state: 'cancelled' }]);
  });

  it('ends an empty run at once, and decides nothing after the end', () => {
    const run = new RunFixture([{ id: 'a' }]);
    run.run('a');
    run.tell({
      kind: 'run-ended',
      run: RUN,
      state: 'succeeded',
      counts: run.state.counts,
      record: `sha256:${'0'.repeat(64)}` as never,
    });
    expect(decide(run.state, none)).toEqual([]);
  });
});
