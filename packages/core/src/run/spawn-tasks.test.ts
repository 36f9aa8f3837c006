import { describe, expect, it } from 'vitest';
import type { Job } from '../graph/graph.ts';
import { parseSpawn } from '../graph/parse-spawn.ts';
import { claimId, taskId } from '../words/ids.ts';
import { assert } from '../words/unreachable.ts';
import { decide } from './decide.ts';
import { wantedCopies } from './keep-outputs.ts';
import type { TasksSpawned } from './run-event.ts';
import { fakeSha256, RUN, RunFixture, resultOf } from './run-fixture.test-kit.ts';
import { asks, parsed, told } from './spawn.test-kit.ts';
import { judgeSpawn, spawnedUnder, spawnerOf, spawnSequence, tasksOf } from './spawn-tasks.ts';

const none = new Set<number>();
const OUT = { outputs: { out: 'fd:1' } };

function refusal(run: RunFixture, event: TasksSpawned): string | undefined {
  const before = run.state.index.jobs.length;
  run.tell(event);
  expect(run.state.index.jobs.length).toBe(before);
  const verdict = judgeSpawn(run.state, event, run.state.sequence);
  return verdict.kind === 'refused' ? verdict.refusal.kind : verdict.kind;
}

describe('what a task spawns', () => {
  it('is offered like any other, and the run does not end before it is settled', () => {
    const run = new RunFixture([{ id: 'a', ...OUT }]);
    run.start('a');
    run.tell(
      asks(run, 'a', 'k', [
        { id: 'x', ...OUT },
        { id: 'y', inputs: { in: 'jobs:x/out' } },
      ]),
    );
    expect(run.kinds()).toEqual({ a: 'running', 'a--k--x': 'ready', 'a--k--y': 'waiting' });
    run.succeed('a');
    expect(decide(run.state, none)).toMatchObject([{ kind: 'offer-task', task: 1 }]);
    run.run('a--k--x');
    run.run('a--k--y');
    expect(decide(run.state, none)).toMatchObject([{ kind: 'end-run', state: 'succeeded' }]);
  });

  it('fails no run whose task was taken from the cache at its next attempt', () => {
    const run = new RunFixture([{ id: 'a', ...OUT }]);
    run.start('a');
    run.tell(asks(run, 'a', 'k', [{}]));
    run.start('a--k');
    run.fail('a--k', 'exit');
    run.lose('a');
    const action = `sha256:${fakeSha256('a')}` as never;
    const cached = { kind: 'task-cached', run: RUN, task: taskId('a') } as const;
    run.tell({ ...cached, action, result: resultOf('a') });
    expect(decide(run.state, none)).toMatchObject([{ kind: 'end-run', state: 'succeeded' }]);
  });

  it('holds no run for a person once what spawned it has failed', () => {
    const run = new RunFixture([{ id: 'a', ...OUT }]);
    run.start('a');
    run.tell(asks(run, 'a', 'k', [{ retries: { 'peer-lost': 0 } }]));
    run.start('a--k');
    run.lose('a--k');
    expect(run.task('a--k').kind).toBe('held');
    run.fail('a', 'exit');
    // Somebody released it before this was known.
    run.tell({ kind: 'task-released', run: RUN, task: taskId('a--k'), by: 'me' });
    expect(run.kinds()).toEqual({ a: 'failed', 'a--k': 'skipped' });
    expect(decide(run.state, none)).toMatchObject([{ kind: 'end-run', state: 'failed' }]);
  });

  it('is checked as fast however much was spawned before', () => {
    const run = new RunFixture([{ id: 'a', ...OUT }]);
    run.start('a');
    run.tell(asks(run, 'a', 'k', [{ id: 'x', ...OUT }, { id: 'y' }]));
    const spawner = spawnerOf(run.state, taskId('a'), fakeSha256);
    assert(spawner !== undefined, 'the parent is there');
    const [x, y] = spawner.earlier;
    assert(x !== undefined && y !== undefined, 'both were spawned');
    const unread = {
      ...y,
      get outputs(): Job['outputs'] {
        throw new Error('looked at');
      },
    };
    const request = { key: 'l', jobs: [{ inputs: { in: 'jobs:a--k--x/out' } }] };
    expect(parseSpawn(request, { ...spawner, earlier: [x, unread] })).toMatchObject({ ok: true });
  });

  it('may come from a task that reads of others itself', () => {
    const run = new RunFixture([
      { id: 'a', ...OUT },
      { id: 'b', inputs: { in: 'jobs:a/out' } },
    ]);
    run.run('a');
    run.start('b');
    run.tell(
      asks(run, 'b', 'k', [
        { id: 'x', ...OUT },
        { id: 'y', inputs: { in: 'jobs:x/out' } },
      ]),
    );
    run.start('b--k--x');
    run.tell(asks(run, 'b--k--x', 'k', [{}]));
    expect(run.kinds()).toMatchObject({ 'b--k--x--k': 'ready' });
  });

  it('is found by its key in a later attempt, and other jobs under that key are refused', () => {
    const run = new RunFixture([{ id: 'a', retries: 2, ...OUT }]);
    run.start('a');
    const first = asks(run, 'a', 'k', [{ id: 'x' }]);
    run.tell(first);
    expect(spawnSequence(run.state, taskId('a'))).toBe(run.state.sequence);
    run.lose('a');
    run.start('a', 2, 'p2');
    expect(spawnedUnder(run.state, taskId('a'), 'k')).toEqual({ firstJob: 1, jobCount: 1 });
    const again = asks(run, 'a', 'k', [{ id: 'x' }], 2);
    expect(judgeSpawn(run.state, again).kind).toBe('accepted');
    run.tell(again);
    const verdict = judgeSpawn(run.state, again, run.state.sequence);
    expect(verdict).toMatchObject({ kind: 'accepted', jobs: { firstJob: 1 } });
    expect(run.state.index.taskCount).toBe(2);
    expect(tasksOf(run.state, { firstJob: 1, jobCount: 1 })).toEqual([1]);
    const other = { ...again, jobs: again.jobs.map((job) => ({ ...job, command: ['no'] })) };
    expect(refusal(run, other)).toBe('key-taken');
  });

  it('waits for what was spawned before, done or not, and is skipped behind what failed', () => {
    const run = new RunFixture([{ id: 'a' }]);
    run.start('a');
    run.tell(asks(run, 'a', 'k', [{ ...OUT }]));
    const reads = [{ inputs: { in: 'jobs:a--k/out' } }];
    run.tell(asks(run, 'a', 'l', reads));
    run.run('a--k');
    run.tell(asks(run, 'a', 'm', reads));
    expect(run.kinds()).toMatchObject({ 'a--l': 'ready', 'a--m': 'ready' });
    run.tell(asks(run, 'a', 'n', [{ id: 'bad', count: 2, ...OUT }]));
    run.start('a--n:1');
    run.fail('a--n:1', 'exit');
    run.tell(asks(run, 'a', 'o', [{ inputs: { in: 'jobs:a--n:0/out' } }]));
    run.tell(asks(run, 'a', 'p', [{ inputs: { in: 'jobs:a--n/out' } }]));
    expect(run.kinds()).toMatchObject({ 'a--o': 'waiting', 'a--p': 'skipped' });
  });

  it('fails the run only if the task that spawned it could not judge that', () => {
    const early = new RunFixture([{ id: 'a' }]);
    early.start('a');
    early.tell(asks(early, 'a', 'k', [{}]));
    early.start('a--k');
    early.fail('a--k', 'exit');
    early.succeed('a');
    expect(decide(early.state, none)).toMatchObject([{ kind: 'end-run', state: 'succeeded' }]);

    const late = new RunFixture([{ id: 'a' }]);
    late.start('a');
    late.tell(asks(late, 'a', 'k', [{}]));
    late.succeed('a');
    late.start('a--k');
    late.fail('a--k', 'exit');
    expect(decide(late.state, none)).toMatchObject([{ kind: 'end-run', state: 'failed' }]);
  });

  it('is skipped, and fenced, when the task that spawned it fails for good', () => {
    const run = new RunFixture([{ id: 'a' }]);
    run.start('a');
    run.tell(
      asks(run, 'a', 'k', [
        { id: 'x', ...OUT },
        { id: 'y', inputs: { in: 'jobs:x/out' } },
      ]),
    );
    run.fail('a', 'exit');
    expect(run.kinds()).toMatchObject({ 'a--k--x': 'skipped', 'a--k--y': 'skipped' });
    expect(decide(run.state, none)).toEqual([{ kind: 'fence-task', task: 1, sequence: 0 }]);
    run.fence('a--k--x');
    expect(decide(run.state, none)).toMatchObject([
      { kind: 'end-run', state: 'failed', counts: { failed: 1, skipped: 2 } },
    ]);
  });

  it('is told to end, and not tried again, when it is at work as that task fails for good', () => {
    const run = new RunFixture([{ id: 'a' }]);
    run.start('a');
    run.tell(asks(run, 'a', 'k', [{ retries: 5 }]));
    run.start('a--k');
    expect(decide(run.state, none)).toEqual([]);
    run.fail('a', 'exit');
    expect(decide(run.state, none)).toMatchObject([{ kind: 'stop-task', task: 1 }]);
    run.fail('a--k', 'cancelled');
    expect(decide(run.state, none)).toMatchObject([{ kind: 'end-run', state: 'failed' }]);
  });

  it('goes on while the task that spawned it is tried again', () => {
    const run = new RunFixture([{ id: 'a', retries: 1 }]);
    run.start('a');
    run.tell(asks(run, 'a', 'k', [{}]));
    run.start('a--k');
    run.fail('a', 'exit');
    expect(decide(run.state, none)).toEqual([{ kind: 'offer-task', task: 0 }]);
  });

  it('leaves nothing behind for the end of the run but what was to be kept', () => {
    const run = new RunFixture([{ id: 'a' }]);
    run.start('a');
    const jobs = [
      { id: 'x', ...OUT },
      { id: 'y', ...OUT, keep: true },
      { id: 'z', ...OUT, replicas: 3 },
    ];
    run.tell(asks(run, 'a', 'k', jobs));
    for (const id of ['a--k--x', 'a--k--y', 'a--k--z']) {
      run.start(id);
      run.tell({
        ...{ kind: 'attempt-succeeded', run: RUN, task: taskId(id), attempt: 1 },
        ...{ claim: claimId(`${id}-1`), action: `sha256:${fakeSha256(id)}` as never },
        result: { ...resultOf(id), bulk: true },
      });
    }
    expect([1, 2, 3].map((task) => wantedCopies(run.state, task))).toEqual([1, 2, 3]);
  });

  it('is cancelled with the run', () => {
    const run = new RunFixture([{ id: 'a' }]);
    run.start('a');
    run.tell(asks(run, 'a', 'k', [{}]));
    run.cancel();
    expect(run.kinds()).toEqual({ a: 'running', 'a--k': 'cancelled' });
    expect(refusal(run, asks(run, 'a', 'l', [{}]))).toBe('run-over');
  });
});

describe('refused is', () => {
  it('what an attempt asks that is not open: lost, replaced, ended or never begun', () => {
    const run = new RunFixture([{ id: 'a', retries: 3 }]);
    expect(refusal(run, asks(run, 'a', 'k', [{}]))).toBe('stale-attempt');
    run.start('a');
    run.lose('a');
    expect(refusal(run, asks(run, 'a', 'k', [{}]))).toBe('stale-attempt');
    run.start('a', 2, 'p2');
    expect(refusal(run, asks(run, 'a', 'k', [{}]))).toBe('stale-attempt');
    run.succeed('a', 2);
    expect(refusal(run, asks(run, 'a', 'k', [{}], 2))).toBe('stale-attempt');
    expect(decide(run.state, none)).toMatchObject([{ kind: 'end-run' }]);
  });

  it('what reads of others than itself and what was spawned before', () => {
    const run = new RunFixture([
      { id: 'a', ...OUT },
      { id: 'b', ...OUT },
    ]);
    run.start('a');
    const event = asks(run, 'a', 'k', [{}]);
    const reading = (job: string) => ({
      ...event,
      jobs: event.jobs.map((one) => ({
        ...one,
        inputs: { in: { kind: 'output' as const, job: job as never, output: 'out' } },
      })),
    });
    for (const job of ['a', 'b', 'nobody']) expect(refusal(run, reading(job))).toBe('out-of-reach');
    expect(() => asks(run, 'a', 'k', [{ inputs: { in: 'jobs:a/out' } }])).toThrow(
      'a sub-task cannot wait for a',
    );
    expect(() => asks(run, 'a', 'k', [{ inputs: { in: 'file:x' } }])).toThrow('no files beside');
    expect(() => asks(run, 'a', 'k', [{ secrets: { T: 't' } }])).toThrow('has no secrets');
  });

  it('a name that is taken, and a spawn of nothing', () => {
    const run = new RunFixture([{ id: 'a' }, { id: 'a--k' }]);
    run.start('a');
    expect(refusal(run, asks(run, 'a', 'k', [{}]))).toBe('id-taken');
    expect(refusal(run, { ...told('a', 'l', 1), jobs: [] })).toBe('too-many-jobs');
  });

  it('what is beyond the budget of the task, or of one above it', () => {
    const run = new RunFixture([{ id: 'a', spawn: { depth: 2, tasks: 4, cpuSeconds: 10 } }]);
    run.start('a');
    expect(refusal(run, asks(run, 'a', 'many', [{ count: 5 }]))).toBe('budget-tasks');
    run.tell(asks(run, 'a', 'k', [{ spawn: { depth: 9 } }]));
    run.start('a--k');
    run.tell(asks(run, 'a--k', 'k', [{}]));
    run.start('a--k--k');
    expect(refusal(run, asks(run, 'a--k--k', 'k', [{}]))).toBe('budget-depth');
    expect(refusal(run, asks(run, 'a--k', 'many', [{ count: 3 }]))).toBe('budget-tasks');
    const usage = { wallMs: 1, cpuMs: 10_000 };
    run.failWith('a--k--k', { kind: 'exit', message: 'no', usage });
    expect(refusal(run, asks(run, 'a', 'l', [{}]))).toBe('budget-cpu-seconds');
    expect(refusal(run, asks(run, 'a--k', 'l', [{}]))).toBe('budget-cpu-seconds');
  });
});

describe('names of sub-tasks', () => {
  it('are read from parent and key, and told apart where they cannot be', () => {
    const run = new RunFixture([{ id: 'a', count: 2 }]);
    run.start('a:1');
    const idsOf = (key: string, jobs: readonly object[]) =>
      parsed(run, 'a:1', key, jobs).map(({ id }) => id);
    expect(idsOf('fit', [{}])).toEqual(['a--1--fit']);
    expect(idsOf('fit', [{ id: 'x' }, {}])).toEqual(['a--1--fit--x', 'a--1--fit--job-2']);
    const [spaced = '', other = ''] = ['läuft 1', 'läuft-1'].flatMap((key) => idsOf(key, [{}]));
    expect(spaced).toMatch(/^a--1--l-uft-1-[0-9a-f]{8}$/);
    expect(other).not.toBe(spaced);
    expect(idsOf('x'.repeat(200), [{}])[0]).toHaveLength(64);
  });
});
