import { createHash } from 'node:crypto';
import { describe, expect, it, test } from 'vitest';
import type { Graph } from './graph.ts';
import { parseGraph } from './parse-graph.ts';
import { TaskIndex } from './task-index.ts';

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');

function accepted(jobs: readonly object[], defaults: object = {}): Graph {
  const parsed = parseGraph({ version: 1, defaults, jobs }, sha256);
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.error, null, 2));
  return parsed.value;
}

const idsOf = ({ jobs }: Graph) => jobs.map(({ id }) => id.replace(/[0-9a-f]{12}$/, '…'));
const inputOf = ({ jobs }: Graph, job: number) => jobs[job]?.inputs.requirements;

describe('a Python job', () => {
  it('is an ordinary job that needs no container', () => {
    const { jobs } = accepted([{ id: 'a', job: { python: 'code.zip' } }]);
    expect(jobs).toHaveLength(1);
    expect(jobs[0]).toMatchObject({
      container: { kind: 'reference', reference: 'localhost/podmesh/python:1' },
      command: ['podmesh-python-job', 'run', '/tmp/podmesh-result.json'],
      inputs: { job: { kind: 'file', path: 'code.zip', unpack: true } },
      mountAt: { job: '/job' },
      outputs: { result: { kind: 'file', path: '/tmp/podmesh-result.json', onFailure: true } },
      taskIdEnv: 'JOB_ID',
      net: false,
      cache: true,
    });
  });

  it('keeps what a job may say besides, and takes no default made for commands', () => {
    const own = { inputs: { data: 'file:x.csv' }, outputs: { plot: 'file:/tmp/p' }, count: 3 };
    const { jobs } = accepted([{ id: 'a', job: { python: 'code' }, ...own }], {
      container: 'localhost/tool:1',
      command: ['tool'],
      env: { A: 1 },
    });
    expect(jobs[0]).toMatchObject({
      container: { reference: 'localhost/podmesh/python:1' },
      command: ['podmesh-python-job', 'run', '/tmp/podmesh-result.json'],
      env: { A: '1' },
      count: 3,
    });
    expect(Object.keys(jobs[0]?.inputs ?? {})).toEqual(['data', 'job']);
    expect(Object.keys(jobs[0]?.outputs ?? {})).toEqual(['plot', 'result']);
  });

  it('runs in an image of its own choice', () => {
    const { jobs } = accepted([{ container: 'localhost/gpu:1', job: { python: 'code' } }]);
    expect(jobs[0]?.container).toEqual({ kind: 'reference', reference: 'localhost/gpu:1' });
  });
});

describe('requirements', () => {
  it('are installed by one job for all that want the same, which has a network', () => {
    const job = { python: 'code', requirements: ['a==1', 'b'] };
    const graph = accepted(
      [
        { id: 'x', job },
        { id: 'y', job, count: 2 },
      ],
      {
        env: { PIP_INDEX_URL: 'u', OTHER: 'o' },
      },
    );
    expect(idsOf(graph)).toEqual(['x', 'y', 'requirements-…']);
    expect(inputOf(graph, 0)).toEqual(inputOf(graph, 1));
    expect(inputOf(graph, 0)).toEqual({
      kind: 'output',
      job: graph.jobs[2]?.id,
      output: 'layer',
    });
    expect(graph.jobs[2]).toMatchObject({
      command: ['podmesh-python-job', 'install', '/tmp/requirements', 'a==1', 'b'],
      env: { PIP_INDEX_URL: 'u' },
      outputs: { layer: { kind: 'dir', path: '/tmp/requirements' } },
      net: true,
      cache: true,
    });
    expect(graph.jobs[0]?.net).toBe(false);
    expect(new TaskIndex(graph).dependenciesOf(1)).toEqual([{ kind: 'job', job: 2 }]);
  });

  it('come from a file, and from wheels without a network', () => {
    const from = { requirements: 'sub/requirements.txt', wheels: 'wheels' };
    const graph = accepted([
      { id: 'a', job: { python: 'code', ...from } },
      { id: 'b', job: { python: 'code', wheels: 'wheels' } },
    ]);
    expect(idsOf(graph)).toEqual(['a', 'b', 'requirements-…', 'requirements-…']);
    expect(graph.jobs[2]).toMatchObject({
      inputs: {
        requirements: { kind: 'file', path: 'sub/requirements.txt' },
        wheels: { kind: 'file', path: 'wheels' },
      },
      net: false,
    });
    expect(graph.jobs[3]?.inputs).toEqual({ wheels: { kind: 'file', path: 'wheels' } });
  });

  it('are installed for the machines of the job, though on no GPU, and take no name of a person', () => {
    const job = { python: 'code', requirements: ['a'] };
    const needs = { cpus: 8, gpus: 1, memory: '2G', arch: 'arm64', labels: ['zone=lab'] };
    const first = accepted([{ id: 'x', job, needs }]);
    expect(first.jobs[1]?.requirements).toMatchObject({
      cpus: 1,
      gpus: 0,
      memoryBytes: 2 * 1024 ** 3,
      arch: 'arm64',
      labels: ['zone=lab'],
    });
    const taken = first.jobs[1]?.id ?? '';
    const second = accepted([
      { id: 'x', job, needs },
      { id: taken, container: 'localhost/a:1' },
    ]);
    expect(second.jobs.map(({ id }) => id)).toEqual(['x', taken, `${taken}-2`]);
  });

  it('may name an index and a user of ssh, which are no secrets', () => {
    const env = { PIP_INDEX_URL: 'https://pypi.example:8443/a@b/simple', OTHER: 'https://a:b@c' };
    const requirements = ['x @ git+ssh://git@git.example/x.git@v1'];
    expect(idsOf(accepted([{ id: 'a', job: { python: 'c', requirements }, env }]))).toHaveLength(2);
  });

  it('are none when the list is empty', () => {
    expect(idsOf(accepted([{ id: 'a', job: { python: 'c', requirements: [] } }]))).toEqual(['a']);
  });
});

test.each<[string, object, string, RegExp]>([
  ['no program', { job: {} }, 'jobs[0].job', /"python" is missing/],
  ['no map', { job: 'code.zip' }, 'jobs[0].job', /must be a map/],
  ['an unknown member', { job: { python: 'c', wheel: 'w' } }, 'jobs[0].job.wheel', /"wheels"/],
  ['an empty path', { job: { python: '' } }, 'jobs[0].job.python', /empty/],
  ['an absolute path', { job: { python: '/c' } }, 'jobs[0].job.python', /is absolute/],
  [
    'an absolute path of requirements',
    { job: { python: 'c', requirements: '/r' } },
    'jobs[0].job.requirements',
    /is absolute/,
  ],
  [
    'an option as requirement',
    { job: { python: 'c', requirements: ['-r x'] } },
    'jobs[0].job.requirements[0]',
    /requirements file/,
  ],
  ['a command', { job: { python: 'c' }, command: ['x'] }, 'jobs[0].command', /main\(\) of its/],
  [
    'a taken input',
    { job: { python: 'c' }, inputs: { job: 'file:x' } },
    'jobs[0].inputs.job',
    /taken/,
  ],
  [
    'a taken output',
    { job: { python: 'c' }, outputs: { result: 'fd:1' } },
    'jobs[0].outputs.result',
    /taken/,
  ],
  [
    'a password for pip',
    { job: { python: 'c' }, env: { PIP_INDEX_URL: 'https://me:secret@pypi.example/simple' } },
    'jobs[0].env.PIP_INDEX_URL',
    /holds a user name, password or token.*run log.*wheels/,
  ],
  [
    'a token among the indexes of pip',
    { job: { python: 'c' }, env: ['PIP_EXTRA_INDEX_URL=https://a.example https://tok@b.example'] },
    'jobs[0].env',
    /PIP_EXTRA_INDEX_URL holds/,
  ],
  [
    'a password of a proxy',
    { job: { python: 'c' }, env: { PIP_PROXY: 'me:secret@proxy.example:3128' } },
    'jobs[0].env.PIP_PROXY',
    /PIP_PROXY holds/,
  ],
  [
    'a token in a requirement',
    { job: { python: 'c', requirements: ['a', 'b @ git+https://tok@git.example/b.git'] } },
    'jobs[0].job.requirements[1]',
    /this requirement holds/,
  ],
  ['a taken variable', { job: { python: 'c' }, env: { JOB_ID: 1 } }, 'jobs[0].env', /JOB_ID/],
])('refuses %s', (_, job, path, words) => {
  const parsed = parseGraph({ version: 1, jobs: [job] }, sha256);
  const problems = parsed.ok ? [] : parsed.error;
  expect(problems.map((problem) => problem.path)).toEqual([path]);
  expect(`${problems[0]?.problem}. ${problems[0]?.advice}`).toMatch(words);
});
