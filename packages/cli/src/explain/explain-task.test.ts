import type { RunEvent } from '@podmesh/core';
import { describe, expect, it } from 'vitest';
import {
  failed,
  graphOf,
  peerEntry,
  RESULT,
  RUN,
  started,
  stateOf,
  succeeded,
} from '../sample-run.test-kit.ts';
import { explainTask, type TaskExplanation } from './explain-task.ts';
import { taskExplanationText } from './explanation-text.ts';

const GIB = 1024 ** 3;
const graph = graphOf([
  {
    id: 'a',
    needs: { memory: '2GiB', labels: ['disk=ssd'] },
    outputs: { out: 'fd:1' },
    retries: 1,
  },
  { id: 'arr', count: 3, after: ['a'] },
  { id: 'end', after: ['arr'], inputs: { x: 'jobs:a/out' } },
]);

function explained(
  task: number,
  events: readonly RunEvent[],
  peers: readonly ReturnType<typeof peerEntry>[] = [],
): TaskExplanation {
  return explainTask({ run: RUN, state: stateOf(graph, events), task, peers });
}

describe('a ready task', () => {
  const ssd = { labels: ['disk=ssd'] };

  it('without peers', () => {
    const { summary, advice } = explained(0, []);
    expect(summary).toBe('it is ready and waits for a peer: no peer is there');
    expect(advice[0]).toContain('podmesh up');
  });

  it('with a free one', () => {
    const { summary, peers } = explained(0, [], [peerEntry('fir'), peerEntry('oak', ssd)]);
    expect(summary).toContain('oak could take it now');
    expect(peers?.map(({ peer, verdict }) => `${peer} ${verdict}`)).toEqual([
      'oak free',
      'fir unsuitable',
    ]);
  });

  it('with a busy one', () => {
    const free = { cpus: 4, memoryBytes: GIB, diskBytes: GIB, gpus: 0 };
    const { summary, advice } = explained(0, [], [peerEntry('oak', { ...ssd, free })]);
    expect(summary).toContain('oak could take it but is busy');
    expect(advice[0]).toContain('Wait');
  });

  it('with a paused one', () => {
    const paused = 'Podman does not answer';
    const { summary, advice } = explained(0, [], [peerEntry('oak', { ...ssd, paused })]);
    expect(summary).toContain('oak could take it but is paused (Podman does not answer)');
    expect(advice[0]).toContain('podmesh doctor');
  });

  it('that no peer could ever run names the closest and what it lacks', () => {
    const capacity = { cpus: 4, memoryBytes: GIB, diskBytes: GIB, gpus: 0 };
    const small = peerEntry('small', { labels: ['disk=ssd'], capacity, free: capacity });
    const { summary, advice } = explained(0, [], [peerEntry('unlabelled'), small]);
    expect(summary).toBe(
      'it is ready and waits for a peer: no peer could ever run it; ' +
        'the closest is small: needs 2 GiB memory, peer offers 1 GiB',
    );
    expect(advice.join(' ')).toMatch(/Ask for less under "needs".*--memory/);
  });

  it('after a failed attempt says that there will be another', () => {
    const { summary, attempts } = explained(0, [started('a'), failed('a')]);
    expect(summary).toContain('attempt 1 failed and there will be another');
    expect(attempts).toMatchObject([{ attempt: 1, outcome: 'exit' }]);
  });
});

describe('other tasks', () => {
  it('waiting: for whom, and how far that is', () => {
    const events = [
      started('a'),
      succeeded('a', { outputs: { out: { digest: RESULT.log.digest, kind: 'file', bytes: 4 } } }),
      started('arr:1'),
      succeeded('arr:1'),
    ];
    const { summary, waitingFor, advice } = explained(4, events);
    expect(summary).toBe('it waits for arr, and in the end for arr:0, which is ready');
    expect(waitingFor).toEqual([{ task: 'arr', progress: '1 of 3 succeeded' }]);
    expect(advice).toEqual([`Why that takes long: podmesh explain ${RUN}/arr:0`]);
    expect(
      explained(4, [])
        .waitingFor?.map(({ task }) => task)
        .sort(),
    ).toEqual(['a', 'arr']);
  });

  it('waiting at the end of a chain: for whom in the end', () => {
    const chain = graphOf([{ id: 'x' }, { id: 'y', after: ['x'] }, { id: 'z', after: ['y'] }]);
    const state = stateOf(chain, [started('x')]);
    const { summary, advice } = explainTask({ run: RUN, state, task: 2, peers: [] });
    expect(summary).toBe('it waits for y, and in the end for x, which is running');
    expect(advice).toEqual([`Why that takes long: podmesh explain ${RUN}/x`]);
  });

  it('running: where and since when', () => {
    expect(explained(0, [started('a')])).toMatchObject({
      state: 'running',
      summary: 'attempt 1 runs on oak since 2026-01-01T00:00:00Z',
    });
  });

  it('failed: kind, meaning, attempts, and what to do', () => {
    const events = [
      started('a'),
      failed('a', { kind: 'oom-task', message: 'killed' }),
      started('a', 2),
      failed('a', { kind: 'oom-task', message: 'killed', stderrTail: 'oh\n' }, 2),
    ];
    const explanation = explained(0, events);
    expect(explanation.failure).toEqual({
      kind: 'oom-task',
      meaning: 'the task used more memory than it asked for',
      message: 'killed',
      stderrTail: 'oh\n',
    });
    expect(explanation.summary).toContain('2 made, "retries" is 1');
    expect(explanation.advice.join(' ')).toContain('more "memory" under "needs"');
    const text = taskExplanationText(explanation).join('\n');
    expect(text).toContain('a is failed');
    expect(text).toContain('  oh');
    expect(text).toMatch(/ {2}2 {2}oak/);
  });

  it('skipped: because of whom', () => {
    const events = [started('a'), failed('a'), started('a', 2), failed('a', {}, 2)];
    expect(explained(4, events)).toMatchObject({ state: 'skipped', because: 'a' });
  });

  it('succeeded and cancelled', () => {
    expect(explained(0, [started('a'), succeeded('a')]).summary).toContain('attempt 1');
    const cancel = { kind: 'run-cancel-requested', run: RUN, by: 'me', reason: '' } as const;
    expect(explained(0, [cancel]).summary).toContain('the run was cancelled');
  });
});
