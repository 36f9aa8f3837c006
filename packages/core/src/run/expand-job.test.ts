import { describe, expect, it } from 'vitest';
import { parseGraph } from '../graph/parse-graph.ts';
import { taskId } from '../words/ids.ts';
import { EXPANSION_MAX, TASKS_PER_GRAPH_MAX } from '../words/limits.ts';
import { buildOffer, gatherTree, type Surroundings } from './build-offer.ts';
import { decide } from './decide.ts';
import { listEntries, listTexts } from './expansion.ts';
import { digestOf, fakeSha256, RUN, RunFixture } from './run-fixture.test-kit.ts';
import { buildRecord } from './run-record.ts';
import { taskTotal } from './run-state.ts';

const none = new Set<number>();
const OUT = { outputs: { out: 'file:/o', dir: 'dir:/d' } };
const JOBS = [
  { id: 'split', ...OUT },
  { id: 'tag', forEach: 'jobs:split/dir', ...OUT },
  { id: 'join', inputs: { all: 'jobs:tag/*' } },
];

function expand(run: RunFixture, task: string, count: number): void {
  run.tell({
    kind: 'job-expanded',
    run: RUN,
    task: taskId(task),
    source: digestOf('list'),
    count,
    elements: { kind: 'inline', elements: [] },
  });
}

function fail(run: RunFixture, task: string): void {
  const failure = { kind: 'output-missing', message: 'it is no list' } as const;
  run.tell({ kind: 'expansion-failed', run: RUN, task: taskId(task), failure });
}

describe('a job that goes over a list', () => {
  it('is one task until the list is there, and then as many as it has elements', () => {
    const run = new RunFixture(JOBS);
    expect(run.kinds()).toEqual({ split: 'ready', tag: 'waiting', join: 'waiting' });
    run.run('split');
    expect(decide(run.state, none)).toEqual([{ kind: 'expand-job', task: 1 }]);
    expand(run, 'tag', 2);
    expect(run.kinds()).toEqual({
      ...{ split: 'succeeded', tag: 'expanded', join: 'waiting' },
      ...{ 'tag:0': 'ready', 'tag:1': 'ready' },
    });
    expect(taskTotal(run.state)).toBe(4);
    run.run('tag:0');
    run.run('tag:1');
    expect(run.task('join').kind).toBe('ready');
    run.run('join');
    const counts = { succeeded: 4, cached: 0, failed: 0, skipped: 0, cancelled: 0 };
    expect(decide(run.state, none)).toEqual([{ kind: 'end-run', state: 'succeeded', counts }]);
  });

  it('fails when others made the run as large as one may be, whatever its driver saw', () => {
    const most = TASKS_PER_GRAPH_MAX / EXPANSION_MAX;
    const tags = Array.from({ length: most }, (_, at) => ({ ...JOBS[1], id: `tag${at}` }));
    const run = new RunFixture([{ id: 'split', ...OUT }, ...tags]);
    run.run('split');
    for (const { id } of tags) expand(run, id, EXPANSION_MAX);
    expect(run.task(`tag${most - 2}`).kind).toBe('expanded');
    expect(run.task(`tag${most - 1}`)).toMatchObject({
      ...{ kind: 'failed', failure: { message: expect.stringContaining('are possible') } },
    });
    expect(taskTotal(run.state)).toBeLessThan(TASKS_PER_GRAPH_MAX);
  });

  it('may have no elements: what waits for it goes on', () => {
    const run = new RunFixture(JOBS);
    run.run('split');
    expand(run, 'tag', 0);
    expect(run.task('join').kind).toBe('ready');
    expect(gatherTree(run.state, 'tag' as never, '*')).toEqual({ podmeshTree: 1, entries: [] });
    run.run('join');
    expect(decide(run.state, none)).toMatchObject([{ kind: 'end-run', state: 'succeeded' }]);
  });

  it('gives each task its element, whose name and bytes alone decide what it does', () => {
    const run = new RunFixture(JOBS);
    run.run('split');
    expand(run, 'tag', 2);
    const first = run.state.index.firstTaskOf(1);
    const known: Surroundings = {
      image: () => undefined,
      artifact: () => undefined,
      gathered: () => ({ digest: digestOf(''), kind: 'dir', bytes: 0 }),
      item: (task) => ({
        artifact: { digest: digestOf(`item ${task}`), kind: 'file', bytes: 1 },
        name: `n${task}`,
      }),
      largestMemoryBytes: () => 0,
      sha256: fakeSha256,
    };
    const offer = buildOffer(run.state, first + 1, RUN, known);
    expect(offer).toMatchObject({
      task: 'tag:1',
      inputs: { item: { digest: digestOf(`item ${first + 1}`) } },
    });
    expect(offer.env).toEqual({ PODMESH_ITEM_NAME: `n${first + 1}` });
  });

  it('is gathered by element and output', () => {
    const run = new RunFixture(JOBS);
    run.run('split');
    expand(run, 'tag', 11);
    for (let element = 0; element < 11; element += 1) run.run(`tag:${element}`);
    const paths = gatherTree(run.state, 'tag' as never, '*').entries.map(({ path }) => path);
    expect(paths.slice(0, 3)).toEqual(['00/dir', '00/out', '01/dir']);
    expect(paths).toHaveLength(22);
  });

  it('fails when there is no list, and takes along what waits for it', () => {
    const run = new RunFixture(JOBS);
    run.run('split');
    fail(run, 'tag');
    expect(run.kinds()).toEqual({ split: 'succeeded', tag: 'failed', join: 'skipped' });
    expect(decide(run.state, none)).toMatchObject([{ kind: 'end-run', state: 'failed' }]);
  });

  it('keeps its elements when the list is lost later, and waits for it when that was before', () => {
    const after = new RunFixture(JOBS);
    after.run('split');
    expand(after, 'tag', 2);
    after.loseOutputs('split');
    expect(after.kinds()).toMatchObject({ tag: 'expanded', 'tag:0': 'waiting' });
    after.run('split', 2);
    expect(after.kinds()).toMatchObject({ tag: 'expanded', 'tag:0': 'ready' });

    const before = new RunFixture(JOBS);
    before.run('split');
    before.loseOutputs('split');
    expect(decide(before.state, none)).toEqual([{ kind: 'offer-task', task: 0 }]);
    // A driver that has not seen the loss had the list in hand.
    expand(before, 'tag', 1);
    expect(before.kinds()).toMatchObject({ tag: 'expanded', 'tag:0': 'waiting' });
    before.run('split', 2);
    expect(before.kinds()).toMatchObject({ 'tag:0': 'ready' });
  });

  it('is cancelled as a whole, and an expansion that comes then changes nothing but the fence', () => {
    const run = new RunFixture(JOBS);
    run.run('split');
    run.cancel();
    expand(run, 'tag', 3);
    expect(run.kinds()).toEqual({ split: 'succeeded', tag: 'cancelled', join: 'cancelled' });
    const { sequence } = run.state;
    expect(decide(run.state, none)).toEqual([{ kind: 'fence-task', task: 1, sequence }]);
    run.fence('tag');
    expect(decide(run.state, none)).toMatchObject([{ kind: 'end-run', state: 'cancelled' }]);
  });

  it('is awaited element by element where somebody reads just one', () => {
    const one = { id: 'one', inputs: { x: 'jobs:tag:1/out' } };
    const far = { id: 'far', inputs: { x: 'jobs:tag:7/out' } };
    const run = new RunFixture([...JOBS.slice(0, 2), one, far, { id: 'end', after: ['far'] }]);
    run.run('split');
    expand(run, 'tag', 2);
    expect(run.kinds()).toMatchObject({ one: 'waiting', far: 'failed', end: 'skipped' });
    run.run('tag:1');
    expect(run.kinds()).toMatchObject({ one: 'ready', 'tag:0': 'ready' });
  });

  it('is in the record with its number of elements', () => {
    const run = new RunFixture(JOBS);
    run.run('split');
    expand(run, 'tag', 1);
    const published = {
      ...({ kind: 'run-published', run: RUN, taskCount: 3, publisher: 'me' } as const),
      graph: { kind: 'inline' as const, graph: run.state.graph },
    };
    const { counts, tasks } = buildRecord(published, run.state, { published: 'then' });
    expect(counts.tasks).toBe(3);
    expect(tasks.map(({ task, elements }) => [task, elements])).toEqual([
      ['split', undefined],
      ['tag', 1],
      ['join', undefined],
      ['tag:0', undefined],
    ]);
  });
});

describe('what can be gone over', () => {
  it('is the entries of a directory by the bytes of their names', () => {
    const file = (path: string) => ({
      ...({ kind: 'file', path, executable: false, bytes: 1 } as const),
      digest: digestOf(path),
    });
    const tree = {
      podmeshTree: 1 as const,
      entries: [
        ...[file('\u{1F600}'), file('\uFFFD'), file('sub/x'), file('b'), file('a')],
        ...[{ kind: 'dir' as const, path: 'empty' }],
        ...[{ kind: 'tree' as const, path: 'hung', digest: digestOf('hung') }],
      ],
    };
    const listed = listEntries(tree);
    expect(listed.ok && listed.value.map(({ name }) => name)).toEqual([
      ...['a', 'b', 'empty', 'hung', 'sub', '\uFFFD', '\u{1F600}'],
    ]);
    expect(listed.ok && listed.value[4]).toEqual({
      ...{ kind: 'folder', name: 'sub' },
      tree: { podmeshTree: 1, entries: [{ ...file('sub/x'), path: 'x' }] },
    });
    const link = { kind: 'symlink' as const, path: 'l', target: 'a' };
    expect(listEntries({ podmeshTree: 1, entries: [link] })).toMatchObject({ ok: false });
  });

  it.each([
    ['[1, "a", {"b": [2]}]', undefined, ['1', '"a"', '{"b":[2]}']],
    [' []', undefined, []],
    ['', undefined, []],
    ['one\r\ntwo\n\nthree', undefined, ['one', 'two', 'three']],
    ['[not json\nat all', 'lines' as const, ['[not json', 'at all']],
  ])('reads %j as %s', (text, as, texts) => {
    expect(listTexts(text, as)).toEqual({ ok: true, value: texts.map((one) => ({ text: one })) });
  });

  it.each([
    ['[1, 2', undefined, 'no JSON array'],
    ['{"a": 1}', 'json' as const, 'no array'],
    [`${'x\n'.repeat(100_001)}`, undefined, '100,001 elements'],
    [`["${'x'.repeat(300_000)}"]`, undefined, 'its element 0 has'],
    ['one\ntwo\0', 'lines' as const, 'its line 2 has a byte 0, so it is no text'],
  ])('refuses %#', (text, as, why) => {
    const read = listTexts(text, as);
    expect(!read.ok && read.error).toContain(why);
  });
});

describe('a document with forEach', () => {
  const problemsOf = (...jobs: object[]) => {
    const named = jobs.map((job) => ({ container: 'a', ...job }));
    const parsed = parseGraph({ version: 1, jobs: named }, fakeSha256);
    return parsed.ok ? [] : parsed.error.map(({ path, problem }) => `${path}: ${problem}`);
  };
  const split = { id: 'split', ...OUT };

  it.each([
    ['with count', { forEach: 'jobs:split/dir', count: 2 }, 'jobs[1].count'],
    [
      'with an input of that name',
      { forEach: 'jobs:split/dir', inputs: { item: 'file:a' } },
      'item',
    ],
    ['over nothing', { forEach: 'jobs:nobody/dir' }, 'there is no job "nobody"'],
    ['over no output', { forEach: 'jobs:split/nothing' }, 'has no output'],
    ['as what there is not', { forEach: { over: 'jobs:split/out', as: 'xml' } }, 'forEach'],
    ['with all outputs of a single task', { inputs: { a: 'jobs:split/*' } }, '"*"'],
  ])('is refused %s', (_, job, problem) => {
    expect(problemsOf(split, job).join('\n')).toContain(problem);
  });

  it('may name one element, or all, and go over one element of an array', () => {
    const tag = { id: 'tag', forEach: 'jobs:split/dir', ...OUT };
    expect(
      problemsOf(split, tag, {
        inputs: { a: 'jobs:tag:5/out', b: 'jobs:tag/out', c: 'jobs:tag/*' },
      }),
    ).toEqual([]);
    expect(problemsOf(split, tag, { forEach: 'jobs:tag:0/dir' })).toEqual([]);
    expect(problemsOf(split, tag, { forEach: 'jobs:tag/dir' }).join('')).toContain('none of them');
  });
});
