import { applyEvent, initialRunState, type RunEvent } from '@podmesh/core';
import { describe, expect, it } from 'vitest';
import {
  asLogged,
  failed,
  graphOf,
  lost,
  published,
  RESULT,
  RUN,
  started,
  stateOf,
  succeeded,
  takesDownTwo,
} from '../sample-run.test-kit.ts';
import { progressLine } from './progress-line.ts';
import { newsText, runNews } from './run-news.ts';

const graph = graphOf([
  { id: 'a', retries: 1 },
  { id: 'b', count: 2, after: ['a'] },
]);

function told(events: readonly RunEvent[]): readonly string[] {
  const state = initialRunState(graph);
  return asLogged(events).flatMap((logged) => {
    const { skipped } = state.counts;
    applyEvent(state, logged);
    const news = runNews(logged, state, skipped);
    return news === undefined ? [] : [newsText(news, RUN)];
  });
}

describe('runNews', () => {
  it('tells that outputs were lost, and where they are kept', () => {
    const { run, task } = started('a');
    const artifacts = [RESULT.log.digest];
    const lost = { kind: 'outputs-lost', run, task, artifacts, rerun: 1, behind: 0 } as const;
    const kept = { kind: 'outputs-kept', run, task, wanted: 2 } as const;
    const keepers = [started('a').peer];
    const succeededAgain = (attempt: number) => {
      const { claim } = started('a', attempt);
      return { ...succeeded('a'), attempt, claim };
    };
    expect(
      told([
        published(graph),
        started('a'),
        succeeded('a'),
        lost,
        started('a', 2),
        succeededAgain(2),
        { ...lost, rerun: 2, behind: 4 },
        started('a', 3),
        succeededAgain(3),
        { ...kept, keepers, short: 'only one peer is in the mesh' },
      ]).filter((line) => line.includes('again') || line.includes('kept')),
    ).toEqual([
      'a is done again: nobody has 1 output of it any more',
      'a is done again (time 2 of 3): nobody has 1 output of it any more',
      'a is kept on oak; 2 copies were asked for: only one peer is in the mesh',
    ]);
  });

  it('tells what happens to tasks', () => {
    const cached = { kind: 'task-cached', run: RUN, task: started('b:0').task } as const;
    expect(
      told([
        published(graph),
        started('a'),
        succeeded('a'),
        { ...cached, action: succeeded('b:0').action, result: RESULT },
      ]),
    ).toEqual([
      `run ${RUN} published`,
      'a started on oak (attempt 1)',
      'a succeeded in 0.4 s',
      'b:0 cached',
    ]);
  });

  it('tells whether a failure is tried again, and whom it takes along', () => {
    expect(told([started('a'), failed('a'), started('a', 2), lost('a', 2)])).toEqual([
      'a started on oak (attempt 1)',
      'a failed (attempt 1): exit: the command exited with 3; will be tried again',
      'a started on oak (attempt 2)',
      'a failed (attempt 2): peer-lost: peer oak vanished: its claim passed on; will be tried again',
    ]);
    const last = told([started('a'), failed('a'), started('a', 2), failed('a', {}, 2)]).at(-1);
    expect(last).toMatch(/skipped because of it: 2$/);
  });
});

describe('a held task', () => {
  const release = {
    kind: 'task-released',
    run: RUN,
    task: started('a').task,
    by: 'me@here',
  } as const;

  it('is told when it happens, with what to type, and when it is released', () => {
    const lines = told([...takesDownTwo('a'), release]);
    expect(lines.slice(-2)).toEqual([
      `a failed (attempt 2): peer-lost: peer fir vanished: its claim passed on; held for a person: podmesh explain ${RUN}/a`,
      'me@here released a; will be tried again',
    ]);
  });

  it('counts in the progress line, which says for whom it waits', () => {
    expect(progressLine(stateOf(graph, takesDownTwo('a')), 0, 200)).toContain(
      '0/3 · 0.0 s · 1 held · waiting for a person',
    );
    const released = stateOf(graph, [...takesDownTwo('a'), release]);
    expect(progressLine(released, 0, 200)).toContain('waiting for a peer');
  });
});

describe('progressLine', () => {
  it('shows how far a run is and what runs', () => {
    const state = stateOf(graph, [started('a'), succeeded('a'), started('b:1')]);
    expect(progressLine(state, 2_000, 200)).toBe(
      '[######..............] 1/3 · 2.0 s · 1 running: b:1 (oak)',
    );
  });

  it('says what it waits for when nothing runs', () => {
    expect(progressLine(stateOf(graph, []), 0, 200)).toContain('waiting for a peer');
    const cancel = { kind: 'run-cancel-requested', run: RUN, by: 'me', reason: '' } as const;
    const stopping = stateOf(graph, [started('a'), cancel]);
    expect(progressLine(stopping, 0, 200)).toContain('2 cancelled · 1 running: a (oak)');
    expect(progressLine(stateOf(graph, [cancel]), 0, 200)).toContain('finishing');
  });

  it('never exceeds the width, and names only a few of many', () => {
    const many = graphOf([{ id: 'm', count: 9 }]);
    const state = stateOf(
      many,
      Array.from({ length: 9 }, (_, element) => started(`m:${element}`)),
    );
    expect(progressLine(state, 0, 200)).toContain(
      '9 running: m:0 (oak), m:1 (oak), m:2 (oak), m:3 (oak), …',
    );
    for (const columns of [1, 10, 40, 79]) {
      expect(progressLine(state, 0, columns).length).toBe(columns);
    }
  });
});
