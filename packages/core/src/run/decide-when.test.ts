import { describe, expect, it } from 'vitest';
import { parseGraph } from '../graph/parse-graph.ts';
import { taskId } from '../words/ids.ts';
import { conditionSource, judgeText } from './condition.ts';
import { decide } from './decide.ts';
import { fakeSha256, RUN, RunFixture } from './run-fixture.test-kit.ts';

const none = new Set<number>();
const OUT = { outputs: { out: 'file:/o' } };
const ask = { id: 'ask', ...OUT };
const yes = { output: 'jobs:ask/out', equals: 'yes' };

function decided(run: RunFixture, task: string, met: boolean): void {
  run.tell({ kind: 'when-decided', run: RUN, task: taskId(task), met, found: 'so' });
}

const ending = (run: RunFixture) => decide(run.state, none);

describe('a job with a condition', () => {
  it('waits until somebody looked, as one task, and then goes on as all', () => {
    const run = new RunFixture([ask, { id: 'go', when: yes, count: 2, ...OUT }]);
    expect(run.kinds()).toEqual({ ask: 'ready', 'go:0': 'waiting', 'go:1': 'waiting' });
    run.run('ask');
    expect(ending(run)).toEqual([{ kind: 'decide-when', task: 1 }]);
    decided(run, 'go:0', true);
    expect(run.kinds()).toMatchObject({ 'go:0': 'ready', 'go:1': 'ready' });
    expect(run.task('go:0')).toMatchObject({ sequence: run.state.sequence });
    run.run('go:0');
    run.run('go:1');
    expect(ending(run)).toMatchObject([{ kind: 'end-run', state: 'succeeded' }]);
  });

  it('is left out with all that reads of it, and what only comes after it goes on', () => {
    const run = new RunFixture([
      ask,
      { id: 'go', when: yes, count: 2, ...OUT },
      { id: 'read', inputs: { in: 'jobs:go:1/out' }, ...OUT },
      { id: 'over', forEach: 'jobs:read/out' },
      { id: 'after', after: ['go'] },
    ]);
    run.run('ask');
    decided(run, 'go:0', false);
    const left = { 'go:0': 'skipped', 'go:1': 'skipped', read: 'skipped', over: 'skipped' };
    expect(run.kinds()).toEqual({ ask: 'succeeded', ...left, after: 'ready' });
    run.run('after');
    expect(ending(run)).toMatchObject([
      { kind: 'end-run', state: 'succeeded', counts: { succeeded: 2, skipped: 4 } },
    ]);
  });

  it('may go on from a failure, which then does not fail the run', () => {
    const jobs = [
      { id: 'test' },
      { id: 'mend', when: { job: 'test', exit: 1 } },
      { id: 'ship', when: { job: 'test', exit: 0 } },
    ];
    const exit = { code: 1, startedAt: 'a', finishedAt: 'b' };
    const run = new RunFixture(jobs);
    run.start('test');
    run.failWith('test', { kind: 'exit', message: 'no', exit });
    expect(run.kinds()).toMatchObject({ mend: 'ready', ship: 'ready' });
    expect(conditionSource(run.state, 1)).toMatchObject({ verdict: { met: true } });
    expect(conditionSource(run.state, 2)).toMatchObject({ verdict: { met: false } });
    decided(run, 'mend', true);
    decided(run, 'ship', false);
    run.run('mend');
    expect(ending(run)).toMatchObject([{ kind: 'end-run', state: 'succeeded' }]);

    const unhandled = new RunFixture(jobs.slice(0, 2));
    unhandled.start('test');
    unhandled.fail('test', 'timeout');
    expect(conditionSource(unhandled.state, 1)).toMatchObject({ verdict: { met: false } });
    decided(unhandled, 'mend', false);
    expect(ending(unhandled)).toMatchObject([{ kind: 'end-run', state: 'failed' }]);
  });

  it('looks once: what is lost later changes nothing', () => {
    const run = new RunFixture([ask, { id: 'go', when: yes }]);
    run.run('ask');
    decided(run, 'go', true);
    run.loseOutputs('ask');
    expect(run.kinds()).toEqual({ ask: 'ready', go: 'waiting' });
    run.run('ask', 2);
    expect(ending(run)).toEqual([{ kind: 'offer-task', task: 1 }]);
  });

  it('is cancelled and fenced like any other', () => {
    const run = new RunFixture([ask, { id: 'go', when: yes, count: 2 }]);
    run.run('ask');
    run.cancel();
    decided(run, 'go:0', true);
    const { sequence } = run.state;
    expect(ending(run)).toEqual([{ kind: 'fence-task', task: 1, sequence }]);
  });

  it('fails as a whole when there is nothing to look at', () => {
    const run = new RunFixture([ask, { id: 'go', when: yes, count: 2 }]);
    run.run('ask');
    const failure = { kind: 'output-missing', message: 'too long' } as const;
    run.tell({ kind: 'expansion-failed', run: RUN, task: taskId('go:0'), failure });
    expect(run.kinds()).toEqual({ ask: 'succeeded', 'go:0': 'failed', 'go:1': 'failed' });
  });
});

describe('a condition', () => {
  it.each([
    ['yes\n', { equals: 'yes' }, true],
    ['yes ', { equals: 'yes' }, false],
    ['a yes b', { contains: 'yes' }, true],
    ['no', { equals: 'yes', not: true as const }, true],
  ])('on %j with %j is %s', (text, says, met) => {
    const when = { kind: 'output', job: 'ask' as never, output: 'out', ...says } as const;
    expect(judgeText(text, when).met).toBe(met);
  });

  it.each([
    ['of two kinds', { job: 'ask', exit: 1, equals: 'x' }, 'neither a condition'],
    ['of none', {}, 'neither a condition'],
    ['on an array', { job: 'many', exit: 0 }, 'is an array job'],
    ['on a directory', { output: 'jobs:ask/dir', equals: '' }, 'is a directory'],
    ['on nobody', { job: 'nobody', exit: 0 }, 'there is no job'],
    ['on what it needs', { job: 'before', exit: 1 }, 'also needs that it succeeds'],
    ['on a code there is not', { job: 'ask', exit: 256 }, 'exit'],
  ])('%s is refused', (_, when, problem) => {
    const jobs = [
      { id: 'ask', outputs: { out: 'file:/o', dir: 'dir:/d' } },
      { id: 'many', count: 2 },
      { id: 'before' },
      { id: 'go', when, after: ['before'] },
    ].map((job) => ({ container: 'a', ...job }));
    const parsed = parseGraph({ version: 1, jobs }, fakeSha256);
    expect(JSON.stringify(parsed)).toContain(problem);
    expect(parsed.ok).toBe(false);
  });
});
