import {
  type AttemptStarted,
  initialRunState,
  type RunEvent,
  type RunState,
  taskId,
} from '@podmesh/core';
import { expect, test } from 'vitest';
import { graphOf } from '../daemon.test-kit.ts';
import { MovedTasks } from './moved-tasks.ts';

const TASKS = 1_000;

function manyOffered(): { readonly state: RunState; readonly offered: Map<number, string> } {
  const state = initialRunState(graphOf({ id: 'a', count: TASKS }));
  const offered = new Map(Array.from({ length: TASKS }, (_, task) => [task, 'offer']));
  return { state, offered };
}

/** Only what is looked at. */
const started = (task: number): AttemptStarted =>
  ({ kind: 'attempt-started', task: taskId(`a:${task}`) }) as AttemptStarted;

test('looks at all at first, then at those that facts came of', () => {
  const { state, offered } = manyOffered();
  const moved = new MovedTasks();
  expect(moved.take(offered)).toHaveLength(TASKS);
  moved.note(state, started(7));
  moved.note(state, started(9));
  expect(moved.take(offered)).toEqual([7, 9]);
  expect(moved.take(offered)).toEqual([]);
});

test('names none that is not offered', () => {
  const { state, offered } = manyOffered();
  const moved = new MovedTasks();
  moved.take(offered);
  offered.delete(7);
  moved.note(state, started(7));
  expect(moved.take(offered)).toEqual([]);
});

test('looks at all after a fact that may move other tasks than its own', () => {
  const { state, offered } = manyOffered();
  const moved = new MovedTasks();
  moved.take(offered);
  moved.note(state, { kind: 'attempt-lost', task: taskId('a:1') } as RunEvent);
  expect(moved.take(offered)).toHaveLength(TASKS);
  expect(moved.take(offered)).toEqual([]);
});

test('looks at all now and then, at a cost for each step that does not grow with their number', () => {
  const { offered } = manyOffered();
  const moved = new MovedTasks();
  moved.take(offered);
  const looks = Array.from({ length: TASKS }, () => moved.take(offered).length);
  expect(looks).toContain(TASKS);
  expect(looks.reduce((sum, count) => sum + count, 0)).toBeLessThanOrEqual(8 * TASKS);
});
