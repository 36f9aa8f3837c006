import { describe, expect, it } from 'vitest';
import { decide } from './decide.ts';
import { RUN, RunFixture } from './run-fixture.test-kit.ts';
import { pastOf } from './task-state.ts';

const output = { outputs: { out: 'file:/out' } };
const reads = (id: string, ...producers: readonly string[]) => ({
  id,
  ...output,
  inputs: Object.fromEntries(producers.map((name, at) => [`in${at}`, `jobs:${name}/out`])),
});

/** `b` was at it, and `a`'s output is gone. */
function lostUnder(...jobs: readonly object[]): RunFixture {
  const run = new RunFixture([{ id: 'a', ...output }, ...jobs]);
  run.run('a');
  run.start('b');
  run.miss('b', ['a']);
  run.loseOutputs('a');
  return run;
}

const offered = (run: RunFixture) =>
  decide(run.state, new Set()).flatMap((one) =>
    one.kind === 'offer-task' ? [run.state.index.idOf(one.task)] : [],
  );

describe('outputs that were lost', () => {
  it('are made again, and who reads them waits for that', () => {
    const run = lostUnder(reads('b', 'a'), reads('c', 'b'));
    expect(run.kinds()).toEqual({ a: 'ready', b: 'waiting', c: 'waiting' });
    expect(run.state.counts.succeeded).toBe(0);
    expect(offered(run)).toEqual(['a']);
    run.run('a', 2);
    expect(run.kinds()).toEqual({ a: 'succeeded', b: 'ready', c: 'waiting' });
    run.run('b', 2);
    run.run('c');
    expect(decide(run.state, new Set())).toMatchObject([{ kind: 'end-run', state: 'succeeded' }]);
    expect(run.state.counts).toMatchObject({ succeeded: 3, failed: 0, skipped: 0 });
  });

  it('land where the success was: the next attempt is fenced as any', () => {
    const run = new RunFixture([{ id: 'a', ...output }, reads('b', 'a')]);
    run.run('a');
    const before = run.task('a');
    run.start('b');
    run.miss('b', ['a']);
    run.loseOutputs('a');
    const after = run.task('a');
    expect(before.kind === 'succeeded' && before.sequence).toBe(2);
    expect(after).toMatchObject({ kind: 'ready', sequence: 2, forgiven: 1 });
    expect(pastOf(after)).toHaveLength(1);
  });

  it('leave alone what is at work, and what has it already', () => {
    const run = new RunFixture([
      { id: 'a', ...output },
      reads('b', 'a'),
      reads('c', 'a'),
      reads('d', 'a'),
    ]);
    run.run('a');
    run.run('b');
    run.start('c');
    run.start('d');
    run.miss('d', ['a']);
    run.loseOutputs('a');
    expect(run.kinds()).toEqual({ a: 'ready', b: 'succeeded', c: 'running', d: 'waiting' });
    run.succeed('c');
    run.run('a', 2);
    run.run('d', 2);
    expect(decide(run.state, new Set())).toMatchObject([{ kind: 'end-run', state: 'succeeded' }]);
  });

  it('make a task that fails meanwhile wait as well', () => {
    const run = lostUnder(reads('b', 'a'), { ...reads('c', 'a'), retries: 1 });
    run.start('c');
    run.fail('c', 'exit');
    expect(run.task('c')).toMatchObject({ kind: 'waiting', again: { forgiven: 0 } });
    run.run('a', 2);
    expect(run.kinds()).toMatchObject({ b: 'ready', c: 'ready' });
    run.start('c', 2);
    run.fail('c', 'exit', 2);
    expect(run.task('c').kind).toBe('failed');
  });

  it('make a task that a person releases wait as well', () => {
    const run = lostUnder(reads('b', 'a'), { ...reads('c', 'a') });
    run.start('c');
    run.lose('c');
    run.start('c', 2, 'p2');
    run.lose('c', 2, 'p2');
    expect(run.task('c').kind).toBe('held');
    run.tell({ kind: 'task-released', run: RUN, task: 'c' as never, by: 'me' });
    expect(run.task('c').kind).toBe('waiting');
    run.run('a', 2);
    expect(run.task('c').kind).toBe('ready');
  });

  it('may be found too late: an offer from before starts the task, and may even succeed', () => {
    const run = lostUnder(reads('b', 'a'));
    run.start('b', 2);
    expect(run.task('b')).toMatchObject({ kind: 'running', attempt: 2 });
    run.miss('b', ['a'], 2);
    expect(run.task('b').kind).toBe('waiting');
    run.start('b', 3);
    run.succeed('b', 3);
    expect(run.kinds()).toEqual({ a: 'ready', b: 'succeeded' });
    run.run('a', 2);
    expect(decide(run.state, new Set())).toMatchObject([{ kind: 'end-run' }]);
  });

  it('of a chain are made again one after the other', () => {
    const run = new RunFixture([{ id: 'a', ...output }, reads('b', 'a'), reads('c', 'b')]);
    run.run('a');
    run.run('b');
    run.start('c');
    run.miss('c', ['b']);
    run.loseOutputs('b');
    run.start('b', 2);
    run.miss('b', ['a'], 2);
    run.loseOutputs('a');
    expect(run.kinds()).toEqual({ a: 'ready', b: 'waiting', c: 'waiting' });
    run.run('a', 2);
    run.run('b', 3);
    run.run('c', 2);
    expect(run.state.counts.succeeded).toBe(3);
  });

  it('of a task whose own input was found lost before make it wait', () => {
    const run = new RunFixture([{ id: 'a', ...output }, reads('b', 'a'), reads('c', 'b', 'a')]);
    run.run('a');
    run.run('b');
    run.start('c');
    run.miss('c', ['b', 'a']);
    run.loseOutputs('a');
    run.loseOutputs('b');
    expect(run.kinds()).toEqual({ a: 'ready', b: 'waiting', c: 'waiting' });
    run.run('a', 2);
    expect(run.kinds()).toEqual({ a: 'succeeded', b: 'ready', c: 'waiting' });
    run.run('b', 2);
    expect(run.task('c').kind).toBe('ready');
  });

  it('of one element of an array make whoever reads all of it wait, and who reads another one not', () => {
    const run = new RunFixture([
      { id: 'a', ...output, count: 2 },
      { id: 'all', inputs: { in0: 'jobs:a/out' } },
      { id: 'one', inputs: { in0: 'jobs:a:1/out' } },
    ]);
    run.run('a:0');
    run.run('a:1');
    run.loseOutputs('a:0');
    expect(run.kinds()).toEqual({
      'a:0': 'ready',
      'a:1': 'succeeded',
      all: 'waiting',
      one: 'ready',
    });
    run.loseOutputs('a:1');
    expect(run.task('one').kind).toBe('waiting');
    run.run('a:0', 2);
    expect(run.task('all').kind).toBe('waiting');
    run.run('a:1', 2);
    expect(run.kinds()).toMatchObject({ all: 'ready', one: 'ready' });
  });

  it('of a cached result count as cached no more', () => {
    const run = new RunFixture([{ id: 'a', ...output }, reads('b', 'a')]);
    const other = new RunFixture([{ id: 'a', ...output }]);
    other.run('a');
    const donor = other.task('a');
    if (donor.kind !== 'succeeded') throw new Error(donor.kind);
    const cached = { kind: 'task-cached', run: RUN, task: 'a' as never, action: 'x' as never };
    run.tell({ ...cached, kind: 'task-cached', result: donor.result });
    run.loseOutputs('a');
    expect(run.state.counts).toMatchObject({ succeeded: 0, cached: 0 });
    expect(run.task('a')).toMatchObject({ kind: 'ready', sequence: 1, past: [] });
  });

  it('are told by nobody who has not seen all that were told before', () => {
    const run = lostUnder(reads('b', 'a'));
    run.run('a', 2);
    const late = { kind: 'outputs-lost', run: RUN, task: 'a' as never, artifacts: [] } as const;
    expect(() => run.tell({ ...late, rerun: 2, behind: 0 })).toThrow('had not seen all losses');
  });

  it('are none of a cancelled run', () => {
    const run = new RunFixture([{ id: 'a', ...output }, reads('b', 'a')]);
    run.run('a');
    run.cancel();
    run.loseOutputs('a');
    expect(run.kinds()).toEqual({ a: 'succeeded', b: 'cancelled' });
    expect(run.state.lossSequence).toBe(4);
  });
});

describe('a cancellation while outputs are made again', () => {
  it('fences what waits again as well: its offer may be out', () => {
    const run = lostUnder(reads('b', 'a'), reads('c', 'b'));
    run.cancel();
    expect(run.kinds()).toEqual({ a: 'cancelled', b: 'cancelled', c: 'cancelled' });
    expect(decide(run.state, new Set())).toEqual([
      { kind: 'fence-task', task: 0, sequence: 2 },
      { kind: 'fence-task', task: 1, sequence: 4 },
    ]);
    run.fence('a');
    run.start('b', 2);
    expect(run.task('b').kind).toBe('running');
    run.miss('b', ['a'], 2);
    expect(decide(run.state, new Set())).toMatchObject([{ kind: 'end-run', state: 'cancelled' }]);
    expect(run.state.counts).toMatchObject({ cancelled: 3, succeeded: 0 });
  });
});

describe('outputs that cannot be made again', () => {
  /** `a` was lost, and its second time it fails for good. */
  function broken(...jobs: readonly object[]): RunFixture {
    const run = lostUnder(...jobs);
    run.start('a', 2);
    run.fail('a', 'exit', 2);
    return run;
  }

  it('leave who waits for them skipped, and its attempts known', () => {
    const run = broken(reads('b', 'a'), reads('c', 'b'));
    expect(run.kinds()).toEqual({ a: 'failed', b: 'skipped', c: 'skipped' });
    expect(pastOf(run.task('b'))).toHaveLength(1);
    expect(decide(run.state, new Set())).toEqual([{ kind: 'fence-task', task: 1, sequence: 4 }]);
    run.fence('b');
    expect(run.task('b')).not.toHaveProperty('fence');
    expect(decide(run.state, new Set())).toMatchObject([{ kind: 'end-run', state: 'failed' }]);
    expect(run.state.counts).toMatchObject({ failed: 1, skipped: 2 });
  });

  it('leave an offer from before its chance', () => {
    const run = broken(reads('b', 'a'), reads('c', 'b'));
    run.start('b', 2);
    expect(run.state.unfenced.size).toBe(0);
    run.miss('b', ['a'], 2);
    expect(run.task('b').kind).toBe('skipped');
    run.start('b', 3);
    run.succeed('b', 3);
    expect(run.kinds()).toEqual({ a: 'failed', b: 'succeeded', c: 'skipped' });
    expect(decide(run.state, new Set())).toMatchObject([{ kind: 'end-run', state: 'failed' }]);
  });

  it('leave alone who has them, and whoever reads only of those', () => {
    const run = broken(
      reads('b', 'a'),
      reads('c', 'a'),
      reads('d', 'c'),
      { id: 'slow' },
      {
        ...reads('e', 'c'),
        after: ['slow'],
      },
    );
    // `c` got its input in time: it is started by an offer of before.
    expect(run.kinds()).toMatchObject({ b: 'skipped', c: 'skipped', d: 'skipped', e: 'skipped' });
    const other = new RunFixture([
      { id: 'a', ...output },
      reads('b', 'a'),
      reads('c', 'a'),
      { id: 'slow' },
      { ...reads('e', 'c'), after: ['slow'] },
    ]);
    other.run('a');
    other.run('c');
    other.start('b');
    other.miss('b', ['a']);
    other.loseOutputs('a');
    other.start('a', 2);
    other.fail('a', 'exit', 2);
    expect(other.kinds()).toMatchObject({ b: 'skipped', c: 'succeeded', e: 'waiting' });
    other.run('slow');
    expect(other.task('e').kind).toBe('ready');
  });

  it('leave who is at work with them a try, and then no other', () => {
    const run = new RunFixture([
      { id: 'a', ...output },
      reads('b', 'a'),
      { ...reads('c', 'a'), retries: 3 },
      reads('d', 'c'),
    ]);
    run.run('a');
    run.start('c');
    run.start('b');
    run.miss('b', ['a']);
    run.loseOutputs('a');
    run.start('a', 2);
    run.fail('a', 'exit', 2);
    expect(run.kinds()).toEqual({ a: 'failed', b: 'skipped', c: 'running', d: 'waiting' });
    run.fail('c', 'exit');
    expect(run.kinds()).toEqual({ a: 'failed', b: 'skipped', c: 'skipped', d: 'skipped' });
  });

  it('keep the other elements of an array that failed by itself from waiting for ever', () => {
    const run = new RunFixture([
      { id: 'a', ...output },
      { ...reads('b', 'a'), count: 2 },
    ]);
    run.run('a');
    run.start('b:0');
    run.fail('b:0', 'exit');
    run.start('b:1');
    run.miss('b:1', ['a']);
    run.loseOutputs('a');
    expect(run.task('b:1').kind).toBe('waiting');
    run.run('a', 2);
    expect(run.task('b:1').kind).toBe('ready');
    run.start('b:1', 2);
    run.miss('b:1', ['a'], 2);
    run.loseOutputs('a', 2);
    run.start('a', 3);
    run.fail('a', 'exit', 3);
    expect(run.kinds()).toEqual({ a: 'failed', 'b:0': 'failed', 'b:1': 'skipped' });
  });
});
