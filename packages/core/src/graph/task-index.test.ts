import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { laneId, taskId } from '../words/ids.ts';
import type { Graph, Job } from './graph.ts';
import { parseGraph } from './parse-graph.ts';
import { indexTasks } from './task-index.ts';

const fakeSha256 = () => '0'.repeat(64);

function graphOf(...jobs: object[]): Graph {
  const parsed = parseGraph({ version: 1, defaults: { container: 'a' }, jobs }, fakeSha256);
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.error));
  return parsed.value;
}

const out = { outputs: { o: 'fd:1' } };

describe('numbers of tasks', () => {
  const index = indexTasks(graphOf({ id: 'a' }, { id: 'b', count: 3 }, { id: 'c', count: 1 }));

  test('follow the document', () => {
    const ids = ['a', 'b:0', 'b:1', 'b:2', 'c:0'].map(taskId);
    expect(index.taskCount).toBe(5);
    expect(ids.map((_, task) => index.idOf(task))).toEqual(ids);
    expect(ids.map((id) => index.numberOf(id))).toEqual([0, 1, 2, 3, 4]);
    expect(ids.map((_, task) => index.jobOf(task))).toEqual([0, 1, 1, 1, 2]);
    expect(ids.map((_, task) => index.elementOf(task))).toEqual([undefined, 0, 1, 2, 0]);
    expect([0, 1, 2].map((job) => [index.firstTaskOf(job), index.sizeOf(job)])).toEqual([
      [0, 1],
      [1, 3],
      [4, 1],
    ]);
  });

  test.each(['x', 'a:0', 'b', 'b:3', 'b:01', 'c'])('%s is no task of it', (id) => {
    expect(index.numberOf(taskId(id))).toBeUndefined();
  });

  test('out of range are a bug of the caller', () => {
    expect(() => index.idOf(5)).toThrow('broken invariant');
    expect(() => index.firstTaskOf(9)).toThrow('broken invariant');
  });

  test('and ids are each other’s inverse', () => {
    fc.assert(
      fc.property(
        fc.array(fc.option(fc.integer({ min: 1, max: 5 })), { minLength: 1 }),
        (counts) => {
          const some = indexTasks(
            graphOf(...counts.map((count) => (count === null ? {} : { count }))),
          );
          for (let task = 0; task < some.taskCount; task++)
            expect(some.numberOf(some.idOf(task))).toBe(task);
        },
      ),
    );
  });
});

describe('dependencies', () => {
  const index = indexTasks(
    graphOf(
      { id: 'a', count: 3, ...out },
      { id: 'all', inputs: { x: 'jobs:a/o', y: 'jobs:a:1/o' }, after: ['a'] },
      { id: 'one', inputs: { x: 'jobs:a:1/o', y: 'jobs:a:1/o', z: 'jobs:a:2/o' } },
      { id: 'last', after: ['one', 'all'], container: 'jobs:a:1/o' },
    ),
  );

  test('are named once, and an element only where the whole is not waited for', () => {
    expect(index.dependenciesOf(0)).toEqual([]);
    expect(index.dependenciesOf(1)).toEqual([{ kind: 'job', job: 0 }]);
    expect(index.dependenciesOf(2)).toEqual([
      { kind: 'task', job: 0, task: 1 },
      { kind: 'task', job: 0, task: 2 },
    ]);
    expect(index.dependenciesOf(3)).toEqual([
      { kind: 'task', job: 0, task: 1 },
      { kind: 'job', job: 2 },
      { kind: 'job', job: 1 },
    ]);
  });

  test('lead back', () => {
    expect([0, 1, 2, 3].map((job) => index.dependentsOfJob(job))).toEqual([[1], [3], [3], []]);
    expect([0, 1, 2, 3].map((task) => index.dependentsOfTask(task))).toEqual([[], [2, 3], [2], []]);
  });

  test('without single elements there is nobody to wait for one', () => {
    const plain = indexTasks(graphOf({ id: 'a' }, { after: ['a'] }));
    expect(plain.dependentsOfTask(0)).toEqual([]);
    expect(plain.dependentsOfJob(0)).toEqual([1]);
  });
});

test('arrays that read arrays stay linear: a million tasks, nine edges', () => {
  const jobs = Array.from({ length: 10 }, (_, i) => ({
    id: `j${i}`,
    count: 100_000,
    inputs: i === 0 ? {} : { x: `jobs:j${i - 1}/o` },
    ...out,
  }));
  const index = indexTasks(graphOf(...jobs));
  expect(index.taskCount).toBe(1_000_000);
  expect(index.idOf(999_999)).toBe('j9:99999');
  expect(jobs.flatMap((_, job) => index.dependenciesOf(job))).toHaveLength(9);
});

test('the shape of a graph is all it needs', () => {
  const job = { id: 'x', lane: laneId('0'.repeat(16)), inputs: {}, outputs: {}, after: [] };
  const container = { kind: 'reference', reference: 'a' };
  const index = indexTasks({ version: 1, jobs: [{ ...job, container } as never as Job] });
  expect(index.idOf(0)).toBe('x');
});
