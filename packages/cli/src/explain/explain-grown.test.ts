import { type Job, jobId, type TasksSpawned, taskId } from '@podmesh/core';
import { expect, it } from 'vitest';
import { graphOf, RUN, started, stateOf } from '../sample-run.test-kit.ts';
import { explainTask } from './explain-task.ts';
import { taskExplanationText } from './explanation-text.ts';

it('names the task that spawned a sub-task', () => {
  const graph = graphOf([{ id: 'a' }]);
  const begun = started('a');
  const [job] = graph.jobs;
  const jobs: readonly Job[] = [{ ...(job as Job), id: jobId('a--k') }];
  const { run, attempt, claim } = begun;
  const parent = taskId('a');
  const spawned: TasksSpawned = {
    kind: 'tasks-spawned',
    run,
    parent,
    attempt,
    claim,
    key: 'k',
    jobs,
  };
  const state = stateOf(graph, [begun, spawned]);
  const explained = [0, 1].map((task) => explainTask({ run: RUN, state, task, peers: [] }));
  expect(explained.map(({ spawnedBy }) => spawnedBy)).toEqual([undefined, 'a']);
  const [of, ofSubTask] = explained.map((one) => taskExplanationText(one)[0]);
  expect(of).toBe('a is running');
  expect(ofSubTask).toBe('a--k is ready, a sub-task spawned by a');
});

it('says that a task stands for those whose number is not known yet', () => {
  const graph = graphOf([
    { id: 'split', outputs: { list: 'fd:1' } },
    { id: 'tag', forEach: 'jobs:split/list' },
  ]);
  const explained = explainTask({ run: RUN, state: stateOf(graph, []), task: 1, peers: [] });
  expect(explained.summary).toBe(
    'it waits for split; it stands for all tasks of its job, one for each element of jobs:split/list, which are known when that is there',
  );
});
