import { jobId } from '@podmesh/core';
import { describe, expect, it } from 'vitest';
import {
  failed,
  graphOf,
  peerEntry,
  RUN,
  started,
  stateOf,
  succeeded,
  takesDownTwo,
} from '../sample-run.test-kit.ts';
import { type ExplainedRun, explainRun } from './explain-run.ts';
import { runExplanationText } from './explanation-text.ts';

const graph = graphOf([
  { id: 'many', count: 5 },
  { id: 'huge', needs: { memory: '1000GiB' } },
  { id: 'end', after: ['many'] },
]);

const MIB = 1024 ** 2;

function explained(changes: Partial<ExplainedRun> = {}) {
  return explainRun({
    run: RUN,
    state: stateOf(graph, []),
    peers: [peerEntry('oak')],
    driveQueued: true,
    ...changes,
  });
}

describe('explainRun', () => {
  it('groups ready tasks by what they need and says where they could go', () => {
    const { counts, ready, summary, advice } = explained();
    expect(counts).toMatchObject({ tasks: 7, waiting: 1, ready: 6, running: 0 });
    expect(ready.map(({ count, example }) => [count, example])).toEqual([
      [5, 'many:0'],
      [1, 'huge'],
    ]);
    expect(summary).toContain('5 ready tasks like many:0: oak could take it now');
    expect(advice.join(' ')).toContain('Ask for less');
  });

  it('tells a job that its peers leave to others from those with the same needs', () => {
    const alike = graphOf([{ id: 'good', count: 2 }, { id: 'bad', count: 3 }, { id: 'fine' }]);
    const rations = [{ run: RUN, job: jobId('bad'), reason: 'no such device' }];
    const { ready, summary } = explained({
      state: stateOf(alike, []),
      peers: [peerEntry('oak', { rations })],
    });
    expect(ready.map(({ count, example, peers }) => [count, example, peers[0]?.verdict])).toEqual([
      [3, 'good:0', 'free'],
      [3, 'bad:0', 'leaving'],
    ]);
    expect(summary).toContain('3 ready tasks like good:0: oak could take it now');
  });

  it('says that all is done but for copies of what it leaves behind', () => {
    const state = stateOf(graphOf([{ id: 'fit' }]), [started('fit'), succeeded('fit')]);
    expect(explained({ state }).summary).toContain('its driver is writing the record');
    state.unkept.add(0);
    expect(explained({ state }).summary).toContain(
      'waits for copies of the outputs of fit on other',
    );
  });

  it('says that nobody is there, or that nobody drives it', () => {
    expect(explained({ peers: [] }).summary).toContain('no peer is there');
    expect(explained({ driveQueued: false }).summary).toContain('no driver is asked for');
  });

  it('says that it goes on, and what has failed', () => {
    const state = stateOf(graph, [started('many:0'), failed('many:0'), started('many:1')]);
    const { summary, failed: names, advice } = explained({ state });
    expect(summary).toBe('it goes on; running now: 1 task');
    expect(names).toEqual(['many:0']);
    expect(advice[0]).toBe(`What failed: podmesh show ${RUN}`);
  });

  it('says that only a person can make it go on, and how', () => {
    const events = ['many:0', 'many:1', 'many:2', 'many:3', 'many:4'].flatMap((task) =>
      takesDownTwo(task),
    );
    const state = stateOf(graph, [...events, started('huge')]);
    expect(explained({ state }).summary).toBe('it goes on; running now: 1 task');
    const held = explained({
      state: stateOf(graph, [...events, started('huge'), succeeded('huge')]),
    });
    expect(held.summary).toBe(
      'it waits for a person: 5 tasks are held, and nothing else can go on',
    );
    expect(held.counts).toMatchObject({ waiting: 1, ready: 0, held: 5 });
    expect(held.advice).toEqual([
      `Why many:0 is held: podmesh explain ${RUN}/many:0`,
      `Let what is held be tried again: podmesh release ${RUN}`,
      `Or end the run: podmesh cancel ${RUN}`,
    ]);
    expect(runExplanationText(held)).toContain('held: many:0, many:1, many:2, many:3, many:4');
  });

  it('tells apart of one job what asks for more memory by now', () => {
    const oom = failed('many:2', { kind: 'oom-task' });
    const { ready } = explained({ state: stateOf(graph, [started('many:2'), oom]) });
    expect(
      ready.map(({ count, example, requirements }) => [count, example, requirements.memoryBytes]),
    ).toEqual([
      [4, 'many:0', 256 * MIB],
      [1, 'many:2', 512 * MIB],
      [1, 'huge', 1_000 * 1_024 * MIB],
    ]);
  });

  it('reads well', () => {
    const text = runExplanationText(explained()).join('\n');
    expect(text).toContain(`run ${RUN} is running`);
    expect(text).toContain('tasks: 7 tasks, 1 waiting, 6 ready');
    expect(text).toContain(
      '1 ready like huge (1 core, 1000 GiB memory): no peer could ever run it',
    );
  });
});
