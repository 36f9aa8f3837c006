import type { Job, RunState } from '@podmesh/core';
import type { Awaited, ExplainedTask, Specifics } from './explain-task.ts';

/** What a task waits for that is not ready yet, and what that waits for in the end. */
export function whileWaiting({ run, state, task }: ExplainedTask, job: Job): Specifics {
  const waitingFor = unmetOf(state, task);
  const names = waitingFor.map((one) => one.task).join(', ');
  const root = rootOf(state, task);
  const direct = waitingFor.some((one) => one.task === root?.task);
  const chain =
    root === undefined || direct
      ? ''
      : `, and in the end for ${root.task}, which is ${root.progress}`;
  return {
    summary: `it waits for ${names === '' ? 'its turn' : names}${chain}${standInText(state, task, job)}`,
    waitingFor,
    advice:
      root === undefined ? [] : [`${rootQuestion(root)}: podmesh explain ${run}/${root.task}`],
  };
}

/** Of a job that goes over a list one task stands for all of them until the list is there. */
function standInText(state: RunState, task: number, { forEach }: Job): string {
  if (forEach === undefined || !state.index.isOpen(state.index.jobOf(task))) return '';
  return `; it stands for all tasks of its job, one for each element of jobs:${forEach.job}/${forEach.output}, which are known when that is there`;
}

const rootQuestion = ({ progress }: Awaited): string =>
  progress === 'held' ? 'Why that is held for a person' : 'Why that takes long';

/** What the task waits for itself, and is not there yet. */
function unmetOf(state: RunState, task: number): readonly Awaited[] {
  return state.index
    .dependenciesOf(state.index.jobOf(task))
    .flatMap((dependency): readonly Awaited[] => {
      if (dependency.kind === 'task') {
        const kind = state.tasks[dependency.task]?.kind ?? 'waiting';
        const id = state.index.idOf(dependency.task);
        return kind === 'succeeded' ? [] : [{ task: id, progress: kind }];
      }
      const left = state.jobs[dependency.job]?.remaining ?? 0;
      const awaited = state.graph.jobs[dependency.job];
      if (left === 0 || awaited === undefined) return [];
      return [{ task: awaited.id, progress: jobProgress(state, dependency.job) }];
    });
}

/** The task at the other end of the chain of waiting: one that could move. Ends, for a graph has no cycles. */
function rootOf(state: RunState, from: number): Awaited | undefined {
  let at = from;
  for (;;) {
    const next = firstUnmet(state, at);
    if (next === undefined) break;
    at = next;
  }
  const kind = state.tasks[at]?.kind;
  if (at === from || kind === undefined) return undefined;
  return { task: state.index.idOf(at), progress: kind };
}

/** A task that has not succeeded and that this one, still waiting, depends on. */
function firstUnmet(state: RunState, task: number): number | undefined {
  const { index, tasks } = state;
  if (tasks[task]?.kind !== 'waiting') return undefined;
  for (const dependency of index.dependenciesOf(index.jobOf(task))) {
    const first = dependency.kind === 'task' ? dependency.task : index.firstTaskOf(dependency.job);
    const count = dependency.kind === 'task' ? 1 : index.sizeOf(dependency.job);
    for (let other = first; other < first + count; other += 1) {
      if (tasks[other]?.kind !== 'succeeded') return other;
    }
  }
  return undefined;
}

function jobProgress(state: RunState, job: number): string {
  const size = state.index.sizeOf(job);
  const first = state.index.firstTaskOf(job);
  if (size === 1) return state.tasks[first]?.kind ?? 'waiting';
  const done = size - (state.jobs[job]?.remaining ?? size);
  return `${done} of ${size} succeeded`;
}
