import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { PROBLEMS_LISTED_MAX, TASK_TIMEOUT_MS_DEFAULT } from '../words/limits.ts';
import type { Graph } from './graph.ts';
import { parseGraph } from './parse-graph.ts';
import type { GraphProblem } from './problem-list.ts';

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');
const DIGEST = `sha256:${'a1'.repeat(32)}`;
const IMAGE = 'docker.io/library/debian:12';

function accepted(document: unknown): Graph {
  const parsed = parseGraph(document, sha256);
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.error, null, 2));
  return parsed.value;
}

function problemsOf(document: unknown): readonly GraphProblem[] {
  const parsed = parseGraph(document, sha256);
  return parsed.ok ? [] : parsed.error;
}

const jobsOf = (...jobs: unknown[]) => ({ version: 1, defaults: { container: IMAGE }, jobs });

/** The example of issue 2, with digests in place of its dots. */
const EXAMPLE = {
  version: 1,
  jobs: [
    {
      id: 'j1',
      container: DIGEST,
      env: ['foo=bar'],
      command: ['/usr/bin/bash', '-c', 'true'],
      inputs: { in1: DIGEST },
      outputs: { out1: 'fd:0' },
      net: true,
    },
    {
      id: 'j2',
      container: 'jobs:j1/out1',
      env: ['foo=baz'],
      inputs: [],
      outputs: { out1: 'file:/tmp/results.txt' },
    },
    {
      container: DIGEST,
      env: ['foo=buz'],
      inputs: { fromj2: 'jobs:j2/out1' },
      outputs: { out1: 'file:/tmp/more-results.txt' },
    },
  ],
};

describe('what is accepted', () => {
  test('the example of the issue', () => {
    const [j1, j2, j3] = accepted(EXAMPLE).jobs;
    expect(j1).toEqual({
      id: 'j1',
      container: { kind: 'digest', digest: DIGEST },
      command: ['/usr/bin/bash', '-c', 'true'],
      env: { foo: 'bar' },
      inputs: { in1: { kind: 'artifact', artifact: DIGEST } },
      outputs: { out1: { kind: 'fd', fd: 1 } },
      net: true,
      after: [],
      requirements: { cpus: 1, memoryBytes: 2 ** 28, diskBytes: 0, gpus: 0, labels: [] },
      lane: expect.stringMatching(/^[0-9a-f]{16}$/),
      timeoutMs: TASK_TIMEOUT_MS_DEFAULT,
      retries: { task: 0 },
      cache: false,
    });
    expect(j2?.container).toEqual({ kind: 'output', job: 'j1', output: 'out1' });
    expect(j2?.inputs).toEqual({});
    expect(j2?.cache).toBe(true);
    expect(j3?.id).toBe('job-3');
    expect(j3?.inputs).toEqual({ fromj2: { kind: 'output', job: 'j2', output: 'out1' } });
  });

  test('how many copies there are to be, and what is kept, comes from the job or from defaults', () => {
    const { jobs } = accepted({
      version: 1,
      defaults: { container: IMAGE, replicas: 3, keep: true },
      jobs: [{}, { replicas: 1, keep: false }],
    });
    expect(jobs[0]).toMatchObject({ replicas: 3, keep: true });
    expect(jobs[1]).toMatchObject({ replicas: 1 });
    expect(jobs[1]).not.toHaveProperty('keep');
  });

  test.each([0, 6, 1.5, '2'])('replicas: %j are refused', (replicas) => {
    const parsed = parseGraph(jobsOf({ container: IMAGE, replicas }), sha256);
    expect(parsed).toMatchObject({ ok: false });
    expect(JSON.stringify(parsed)).toContain('from 1 to 5');
  });

  test('a graph is plain JSON', () => {
    const graph = accepted(EXAMPLE);
    expect(JSON.parse(JSON.stringify(graph))).toEqual(graph);
  });

  test('a generated id makes way for a written one', () => {
    const { jobs } = accepted(jobsOf({ id: 'job-2' }, {}, { id: 'job-2-2' }));
    expect(jobs.map((job) => job.id)).toEqual(['job-2', 'job-2-3', 'job-2-2']);
  });

  test('defaults stand in, environment and needs are merged, the job wins', () => {
    const defaults = {
      container: IMAGE,
      command: ['a'],
      env: { A: 1, B: true },
      needs: { cpus: 2, memory: '2G', labels: ['x=1'] },
      net: true,
      timeout: '10m',
      retries: 3,
      cache: true,
    };
    const own = { env: ['B=no', 'C='], needs: { cpus: '0.3', labels: { y: 2 } }, timeout: 1.5 };
    const { jobs } = accepted({ version: 1, name: 'n', defaults, jobs: [{}, own] });
    const shared = { command: ['a'], net: true, retries: { task: 3 }, cache: true };
    expect(jobs[0]).toMatchObject({ ...shared, env: { A: '1', B: 'true' }, timeoutMs: 600_000 });
    expect(jobs[1]).toMatchObject({ ...shared, env: { A: '1', B: 'no', C: '' }, timeoutMs: 1_500 });
    expect(jobs[1]?.requirements).toMatchObject({
      cpus: 0.5,
      memoryBytes: 2 * 2 ** 30,
      labels: ['y=2'],
    });
  });

  test('retries by failure kind, and a runtime, which is part of what a peer must have', () => {
    const table = { exit: 2, 'oom-task': 0 };
    const { jobs } = accepted(
      jobsOf(
        { retries: table },
        { runtime: 'crun' },
        { runtime: 'podman', needs: { cpus: 2 } },
        { needs: { cpus: 2 } },
      ),
    );
    expect(jobs[0]?.retries).toEqual({ task: 0, byKind: table });
    expect(jobs[1]?.requirements).toMatchObject({ cpus: 1, runtime: 'crun' });
    expect(jobs[2]?.requirements).toMatchObject({ cpus: 2, runtime: 'podman' });
    expect(new Set(jobs.map((job) => job.lane)).size).toBe(4);
  });

  test('array jobs, single elements of them, and order without data', () => {
    const { jobs } = accepted(
      jobsOf(
        { id: 'a', count: 3, outputs: { o: 'fd:1' } },
        { id: 'b', inputs: { all: 'jobs:a/o', last: 'jobs:a:2/o' }, after: ['c'] },
        { id: 'c', container: 'jobs:a:0/o' },
      ),
    );
    expect(jobs[0]?.count).toBe(3);
    expect(jobs[1]?.inputs.last).toEqual({ kind: 'output', job: 'a', output: 'o', index: 2 });
    expect(jobs[1]?.after).toEqual(['c']);
    expect(jobs[2]?.container).toEqual({ kind: 'output', job: 'a', output: 'o', index: 0 });
  });

  test('names that objects inherit are names like any other', () => {
    const { jobs } = accepted(
      jobsOf(
        { id: 'constructor', outputs: { toString: 'fd:1' }, env: ['__proto__=x'] },
        { inputs: { valueOf: 'jobs:constructor/toString' } },
      ),
    );
    expect(Object.entries(jobs[0]?.env ?? {})).toEqual([['__proto__', 'x']]);
    expect(problemsOf(jobsOf({ id: 'a' }, { inputs: { x: 'jobs:a/toString' } }))).toHaveLength(1);
  });
});

describe('cycles', () => {
  const reading = (id: string, ...others: string[]) => ({
    id,
    outputs: { o: 'fd:1' },
    inputs: Object.fromEntries(others.map((other) => [`from-${other}`, `jobs:${other}/o`])),
  });

  test('are named in full, each once, from their first job on', () => {
    const document = jobsOf(
      reading('free'),
      reading('a', 'free', 'b'),
      { ...reading('b'), after: ['c'] },
      { ...reading('c', 'free'), container: 'jobs:a/o' },
      reading('x', 'y', 'a'),
      reading('y', 'x'),
    );
    const problems = problemsOf(document);
    expect(problems.map(({ path }) => path)).toEqual([
      'jobs[1].inputs.from-b',
      'jobs[4].inputs.from-y',
    ]);
    expect(problems[0]?.problem).toContain('a → b → c → a');
    expect(problems[1]?.problem).toContain('x → y → x');
  });

  test('through one element of an array are cycles too', () => {
    const array = { ...reading('a', 'b'), count: 2 };
    const problems = problemsOf(jobsOf(array, { ...reading('b'), inputs: { x: 'jobs:a:1/o' } }));
    expect(problems).toHaveLength(1);
    expect(problems[0]?.problem).toContain('a → b → a');
  });
});

describe('many problems', () => {
  test('of all stages come at once, in the order of the document', () => {
    const document = {
      jobs: [
        {
          timeout: '99d',
          id: 'a',
          outputs: { o: 'file:x', p: 'dir:/d' },
          inputs: { q: 'jobs:b/o' },
        },
        { id: 'b', after: ['a', 'nobody'], retries: 'x', extra: 1 },
        { container: 'jobs:a/p', inputs: { fine: 'jobs:b/unknowable', ours: 'jobs:a/o' } },
        { id: 'a', env: ['PODMESH_A=1'] },
      ],
      surplus: true,
      version: 1,
    };
    expect(problemsOf(document).map((problem) => problem.path)).toEqual([
      'jobs[0]',
      'jobs[0].timeout',
      'jobs[0].outputs.o',
      'jobs[1].retries',
      'jobs[1].extra',
      'jobs[2].container',
      'jobs[3]',
      'jobs[3].id',
      'jobs[3].env[0]',
      'surplus',
    ]);
  });

  test('are cut, and the rest is counted', () => {
    const problems = problemsOf(jobsOf(...Array.from({ length: 5_000 }, () => ({ id: 7, x: 1 }))));
    expect(problems).toHaveLength(PROBLEMS_LISTED_MAX + 1);
    expect(problems.slice(0, 3).map((problem) => problem.path)).toEqual([
      'jobs[0].id',
      'jobs[0].x',
      'jobs[1].id',
    ]);
    expect(problems.at(-1)?.problem).toBe('9,900 more problems not listed here');
  });
});
