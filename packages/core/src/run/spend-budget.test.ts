import { describe, expect, it } from 'vitest';
import { taskId } from '../words/ids.ts';
import { buildOffer, type Surroundings } from './build-offer.ts';
import { overspent } from './cpu-budget.ts';
import { decide } from './decide.ts';
import { lossOf } from './lost-outputs.ts';
import { fakeSha256, RUN, RunFixture } from './run-fixture.test-kit.ts';
import { asks } from './spawn.test-kit.ts';
import { judgeSpawn } from './spawn-tasks.ts';

const none = new Set<number>();
const idle = () => undefined;

/** `a` may spend 10 s; it spawned `a--k--x` … `z`, and `x` spawned one more. */
function newCase(): RunFixture {
  const run = new RunFixture([{ id: 'a', spawn: { cpuSeconds: 10 }, retries: 2 }]);
  run.start('a');
  run.tell(asks(run, 'a', 'k', [{ id: 'x', retries: 3 }, { id: 'y' }, { id: 'z', after: ['y'] }]));
  run.start('a--k--x');
  run.tell(asks(run, 'a--k--x', 'm', [{}]));
  return run;
}

const spend = (run: RunFixture, cpuMs = 12_000) =>
  run.tell({ kind: 'budget-spent', run: RUN, parent: taskId('a'), cpuMs });

describe('a budget of CPU time', () => {
  it('is used up by what is at work below it, on all levels, and not by its own task', () => {
    const run = newCase();
    run.start('a--k--x--m');
    const used = (by: Readonly<Record<string, number>>) =>
      overspent(run.state, (claim) => by[claim]);
    expect(used({ 'a-1': 60_000, 'a--k--x-1': 6_000, 'a--k--x--m-1': 3_999 })).toEqual([]);
    expect(used({ 'a--k--x-1': 6_000, 'a--k--x--m-1': 4_000 })).toEqual([
      { task: 0, cpuMs: 10_000 },
    ]);
  });

  it('adds what has ended to what is at work', () => {
    const run = newCase();
    run.start('a--k--y');
    const failure = { kind: 'exit', message: 'no', usage: { wallMs: 1, cpuMs: 7_000 } } as const;
    run.failWith('a--k--y', failure);
    expect(overspent(run.state, idle)).toEqual([]);
    expect(overspent(run.state, () => 3_000)).toEqual([{ task: 0, cpuMs: 10_000 }]);
  });

  it('is nobody’s business where no document names one', () => {
    const run = new RunFixture([{ id: 'a' }]);
    run.start('a');
    run.tell(asks(run, 'a', 'k', [{}]));
    run.start('a--k');
    expect(overspent(run.state, () => 1e15)).toEqual([]);
  });

  it('ends all below it when it is used up: what runs is told to, what waits never begins', () => {
    const run = newCase();
    spend(run);
    expect(run.kinds()).toEqual({
      a: 'running',
      'a--k--x': 'running',
      'a--k--y': 'skipped',
      'a--k--z': 'skipped',
      'a--k--x--m': 'skipped',
    });
    const why = expect.stringContaining('"cpuSeconds" of a is 10, and its sub-tasks have used 12');
    expect(decide(run.state, none)).toContainEqual({ kind: 'stop-task', task: 1, why });
    expect(overspent(run.state, () => 1e9)).toEqual([]);
  });

  it('leaves no other attempt, whatever the retries of the sub-task', () => {
    const run = newCase();
    spend(run);
    run.fail('a--k--x', 'exit');
    expect(run.task('a--k--x').kind).toBe('failed');
  });

  it('holds nothing for a person', () => {
    const run = newCase();
    spend(run);
    run.lose('a--k--x');
    expect(run.task('a--k--x').kind).toBe('failed');
  });

  it('refuses what is spawned then, also by sub-tasks, and says whose it is', () => {
    const run = newCase();
    spend(run);
    for (const parent of ['a', 'a--k--x']) {
      const verdict = judgeSpawn(run.state, asks(run, parent, 'new', [{}]));
      expect(verdict).toMatchObject({ kind: 'refused', refusal: { kind: 'budget-cpu-seconds' } });
      expect(JSON.stringify(verdict)).toContain('cpuSeconds');
    }
  });

  it('is the task’s to judge: one that succeeds all the same does not fail the run', () => {
    const run = newCase();
    spend(run);
    run.fail('a--k--x', 'cancelled');
    run.succeed('a');
    for (const id of ['a--k--y', 'a--k--x--m']) if (isFenced(run, id)) run.fence(id);
    expect(decide(run.state, none)).toMatchObject([{ kind: 'end-run', state: 'succeeded' }]);
  });

  it('fails the run when it is used up after its task succeeded', () => {
    const run = newCase();
    run.succeed('a');
    spend(run);
    run.fail('a--k--x', 'cancelled');
    for (const id of ['a--k--y', 'a--k--x--m']) if (isFenced(run, id)) run.fence(id);
    expect(decide(run.state, none)).toMatchObject([{ kind: 'end-run', state: 'failed' }]);
  });

  it('also counts for who began before it could know', () => {
    const run = newCase();
    spend(run);
    run.start('a--k--y');
    expect(decide(run.state, none)).toContainEqual(
      expect.objectContaining({ kind: 'stop-task', task: 2 }),
    );
  });

  it('makes nothing again that was lost', () => {
    const run = new RunFixture([{ id: 'a', spawn: { cpuSeconds: 10 } }]);
    run.start('a');
    run.tell(asks(run, 'a', 'k', [{ outputs: { out: 'fd:1' } }]));
    run.run('a--k');
    expect(lossOf(run.state, RUN, 1, [])).toMatchObject({ rerun: 1 });
    spend(run);
    expect(lossOf(run.state, RUN, 1, [])).toBeUndefined();
  });

  it('travels with the offer, as what is left of the tightest one', () => {
    const run = newCase();
    const known: Surroundings = {
      ...{ sha256: fakeSha256, image: () => undefined, largestMemoryBytes: () => 0 },
      ...{ artifact: () => undefined, gathered: never, item: never },
    };
    expect(buildOffer(run.state, 2, RUN, known).cpuLeftMs).toBe(10_000);
    run.start('a--k--x--m');
    const failure = { kind: 'exit', message: 'no', usage: { wallMs: 1, cpuMs: 4_000 } } as const;
    run.failWith('a--k--x--m', failure);
    expect(buildOffer(run.state, 2, RUN, known).cpuLeftMs).toBe(6_000);
  });
});

const never = (): never => {
  throw new Error('nothing is gathered here');
};

const isFenced = (run: RunFixture, id: string): boolean => 'fence' in run.task(id);
