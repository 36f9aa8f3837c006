import { type JobId, type TaskId, taskId } from '../words/ids.ts';
import { assert } from '../words/unreachable.ts';
import type { Graph } from './graph.ts';
import { type JobEdges, jobEdges, positionsOf } from './job-edges.ts';

/** What a job waits for: all tasks of a job, or one element of an array job. Both are positions. */
export type Dependency =
  | { readonly kind: 'job'; readonly job: number }
  | { readonly kind: 'task'; readonly job: number; readonly task: number };

/**
 * The tasks of a graph as numbers from 0 in document order (elements of an array job in a row), and
 * who waits for whom. Dependencies stay between jobs: an array of 3,000 that reads an array of 3,000 has
 * one edge, not nine million. Holds a few bytes per task besides the map from job ids.
 */
export class TaskIndex {
  readonly taskCount: number;
  readonly #graph: Graph;
  readonly #positions: ReadonlyMap<string, number>;
  /** The first task of each job; one more entry at the end. */
  readonly #firstTask: Uint32Array;
  readonly #jobOfTask: Uint32Array;
  readonly #edges: JobEdges;
  /** Jobs that wait for all of a job, by job. */
  readonly #awaitingJob: Rows;
  /** Jobs that wait for one task alone, by task. */
  readonly #awaitingTask: Rows;

  constructor(graph: Graph) {
    this.#graph = graph;
    this.#positions = positionsOf(graph.jobs.map((job) => job.id));
    this.#firstTask = firstTasks(graph);
    this.taskCount = this.#firstTask.at(-1) ?? 0;
    this.#jobOfTask = jobsOfTasks(this.#firstTask, this.taskCount);
    this.#edges = jobEdges(graph.jobs, this.#positions);
    const { whole, single } = reversed(this.#edges, this.#firstTask);
    this.#awaitingJob = rows(whole, graph.jobs.length);
    this.#awaitingTask = rows(single, single.length === 0 ? 0 : this.taskCount);
  }

  /** Position of the job that the task belongs to. */
  jobOf(task: number): number {
    const job = this.#jobOfTask[task];
    assert(job !== undefined, `task ${task} is one of ${this.taskCount}`);
    return job;
  }

  /** The task's `PODMESH_INDEX`; undefined for the only task of a job without `count`. */
  elementOf(task: number): number | undefined {
    const job = this.jobOf(task);
    return this.#graph.jobs[job]?.count === undefined ? undefined : task - this.firstTaskOf(job);
  }

  /** The tasks of a job are `sizeOf` numbers in a row from here. */
  firstTaskOf(job: number): number {
    const first = this.#firstTask[job];
    assert(first !== undefined, `job at position ${job} is in the graph`);
    return first;
  }

  sizeOf(job: number): number {
    return (this.#firstTask[job + 1] ?? this.taskCount) - this.firstTaskOf(job);
  }

  /** Position of a job of this graph. */
  positionOf(job: JobId): number {
    const position = this.#positions.get(job);
    assert(position !== undefined, `job ${job} is in the graph`);
    return position;
  }

  idOf(task: number): TaskId {
    const job = this.#graph.jobs[this.jobOf(task)];
    const element = this.elementOf(task);
    return taskId(element === undefined ? `${job?.id}` : `${job?.id}:${element}`);
  }

  /** Undefined when the graph has no such task. */
  numberOf(task: TaskId): number | undefined {
    const { job: id, element } = taskParts(task);
    const job = this.#positions.get(id);
    if (job === undefined) return undefined;
    const number = this.firstTaskOf(job) + Number(element ?? 0);
    const known = number < this.firstTaskOf(job) + this.sizeOf(job);
    return known && this.idOf(number) === task ? number : undefined;
  }

  /** What must have succeeded before any task of the job may start; nothing is named twice. */
  dependenciesOf(job: number): readonly Dependency[] {
    const { start, target, element } = this.#edges;
    const dependencies: Dependency[] = [];
    for (let edge = start[job] ?? 0; edge < (start[job + 1] ?? 0); edge++) {
      const other = target[edge] ?? 0;
      const one = element[edge] ?? WHOLE;
      if (one === WHOLE) dependencies.push({ kind: 'job', job: other });
      else dependencies.push({ kind: 'task', job: other, task: this.firstTaskOf(other) + one });
    }
    return dependencies;
  }

  /** Positions of the jobs that wait for all tasks of this job. */
  dependentsOfJob(job: number): readonly number[] {
    return rowOf(this.#awaitingJob, job);
  }

  /** Positions of the jobs that wait for this task alone, and not for the rest of its job. */
  dependentsOfTask(task: number): readonly number[] {
    return rowOf(this.#awaitingTask, task);
  }
}

/** Numbers the tasks of a graph; linear in jobs, tasks and references. */
export function indexTasks(graph: Graph): TaskIndex {
  return new TaskIndex(graph);
}

/** In {@link JobEdges.element}. */
const WHOLE = -1;

function firstTasks({ jobs }: Graph): Uint32Array {
  const first = new Uint32Array(jobs.length + 1);
  for (const [position, { count = 1 }] of jobs.entries())
    first[position + 1] = (first[position] ?? 0) + count;
  return first;
}

function jobsOfTasks(firstTask: Uint32Array, taskCount: number): Uint32Array {
  const jobOfTask = new Uint32Array(taskCount);
  for (let job = 0; job < firstTask.length - 1; job++)
    jobOfTask.fill(job, firstTask[job], firstTask[job + 1]);
  return jobOfTask;
}

/** What is waited for, and who waits. */
type Pair = readonly [awaited: number, waiting: number];

function reversed(
  { start, target, element }: JobEdges,
  firstTask: Uint32Array,
): { readonly whole: readonly Pair[]; readonly single: readonly Pair[] } {
  const whole: Pair[] = [];
  const single: Pair[] = [];
  for (let job = 0; job < start.length - 1; job++) {
    for (let edge = start[job] ?? 0; edge < (start[job + 1] ?? 0); edge++) {
      const other = target[edge] ?? 0;
      const one = element[edge] ?? WHOLE;
      if (one === WHOLE) whole.push([other, job]);
      else single.push([(firstTask[other] ?? 0) + one, job]);
    }
  }
  return { whole, single };
}

/** Lists of numbers, one after the other in one array. */
interface Rows {
  readonly start: Uint32Array;
  readonly items: Uint32Array;
}

/** Sorts the pairs by counting; within a row they keep their order. */
function rows(pairs: readonly Pair[], rowCount: number): Rows {
  const start = new Uint32Array(rowCount + 1);
  for (const [row] of pairs) start[row + 1] = (start[row + 1] ?? 0) + 1;
  for (let row = 0; row < rowCount; row++)
    start[row + 1] = (start[row + 1] ?? 0) + (start[row] ?? 0);
  const next = start.slice();
  const items = new Uint32Array(pairs.length);
  for (const [row, item] of pairs) {
    const place = next[row] ?? 0;
    items[place] = item;
    next[row] = place + 1;
  }
  return { start, items };
}

function rowOf({ start, items }: Rows, row: number): readonly number[] {
  return Array.from(items.subarray(start[row] ?? 0, start[row + 1] ?? start[row] ?? 0));
}

/** The id of a task's job, and which element of it the task is, as text; absent of a single task. */
export function taskParts(task: TaskId): { readonly job: string; readonly element?: string } {
  const [job = '', element] = task.split(':');
  return { job, ...(element === undefined ? {} : { element }) };
}
