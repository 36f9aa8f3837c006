import { GrowingNumbers } from '../words/growing-numbers.ts';
import { type JobId, type TaskId, taskId } from '../words/ids.ts';
import { assert } from '../words/unreachable.ts';
import type { Graph, Job } from './graph.ts';
import { edgesOfJob, type JobEdges, jobEdges, positionsOf } from './job-edges.ts';

/** What a job waits for: all tasks of a job, or one element of an array job. Both are positions. */
export type Dependency =
  | { readonly kind: 'job'; readonly job: number }
  | { readonly kind: 'task'; readonly job: number; readonly task: number };

/**
 * The tasks of a graph as numbers from 0 in document order (elements of an array job in a row), and
 * who waits for whom. Dependencies stay between jobs: an array of 3,000 that reads an array of 3,000 has
 * one edge, not nine million. Holds a few bytes per task besides the map from job ids.
 *
 * It grows with its run: jobs and tasks are added at the end, and no number ever changes its meaning.
 */
export class TaskIndex {
  readonly #jobs: Job[];
  readonly #positions: Map<string, number>;
  readonly #firstTask: GrowingNumbers;
  readonly #size: GrowingNumbers;
  readonly #jobOfTask: GrowingNumbers;
  /** Of the jobs of the document. */
  readonly #edges: JobEdges;
  /** Jobs that wait for all of a job, by job. */
  readonly #awaitingJob: Rows;
  /** Jobs that wait for one task alone, by task. */
  readonly #awaitingTask: Rows;
  /** Who waits for single elements of jobs whose elements are not known yet, by such a job. */
  readonly #awaitingElement = new Map<number, Awaiting[]>();
  /** Jobs whose elements are known by now, and the task that stood for them before. */
  readonly #standIns = new Map<number, number>();
  /** All jobs that go over a list. */
  readonly #listJobs: number[] = [];
  /** What was added while the run grew. */
  readonly #grown: Grown = { dependencies: new Map(), onJob: new Map(), onTask: new Map() };

  constructor(graph: Graph) {
    this.#jobs = [...graph.jobs];
    this.#positions = positionsOf(graph.jobs.map((job) => job.id));
    this.#firstTask = new GrowingNumbers(graph.jobs.length);
    this.#size = new GrowingNumbers(graph.jobs.length);
    this.#jobOfTask = new GrowingNumbers(graph.jobs.length);
    for (const [position, job] of graph.jobs.entries()) this.#number(position, job);
    this.#edges = jobEdges(graph.jobs, this.#positions);
    const { whole, single } = reversed(this.#edges);
    this.#awaitingJob = rows(whole, graph.jobs.length);
    const ofTasks: Pair[] = [];
    for (const { target, element, waiting } of single) {
      if (graph.jobs[target]?.forEach !== undefined) {
        addTo(this.#awaitingElement, target, { element, waiting });
      } else ofTasks.push([this.firstTaskOf(target) + element, waiting]);
    }
    this.#awaitingTask = rows(ofTasks, ofTasks.length === 0 ? 0 : this.taskCount);
  }

  get taskCount(): number {
    return this.#jobOfTask.length;
  }

  /** By position: those of the document, and behind them those that were added since. */
  get jobs(): readonly Job[] {
    return this.#jobs;
  }

  /** Adds jobs with new ids, which may name each other and all that are there. The position of the first one. */
  append(jobs: readonly Job[]): number {
    const first = this.#jobs.length;
    for (const job of jobs) {
      assert(!this.#positions.has(job.id), `there is a job ${job.id} already`);
      this.#positions.set(job.id, this.#jobs.length);
      this.#number(this.#jobs.length, job);
      this.#jobs.push(job);
    }
    for (const [at, job] of jobs.entries()) this.#connect(first + at, job);
    return first;
  }

  /** The jobs that go over a list which is not known yet. */
  get openJobs(): readonly number[] {
    return this.#listJobs.filter((job) => !this.#standIns.has(job));
  }

  /** Whether a job goes over a list that is not known yet: one task stands for all of it. */
  isOpen(job: number): boolean {
    return this.#jobs[job]?.forEach !== undefined && !this.#standIns.has(job);
  }

  /**
   * Gives an open job its elements, numbered behind all other tasks; the task that stood for them keeps its
   * number. Positions of the jobs that wait for an element which there is not.
   */
  expand(job: number, count: number): readonly number[] {
    assert(this.isOpen(job), `the elements of job ${job} are not known`);
    this.#standIns.set(job, this.firstTaskOf(job));
    const first = this.taskCount;
    this.#firstTask.set(job, first);
    this.#size.set(job, count);
    this.#jobOfTask.add(job, count);
    const awaiting = this.#awaitingElement.get(job) ?? [];
    for (const { element, waiting } of awaiting) {
      if (element < count) addTo(this.#grown.onTask, first + element, waiting);
    }
    return awaiting.filter(({ element }) => element >= count).map(({ waiting }) => waiting);
  }

  #number(position: number, { count = 1, forEach }: Job): void {
    if (forEach !== undefined) this.#listJobs.push(position);
    this.#firstTask.add(this.taskCount);
    this.#size.add(count);
    this.#jobOfTask.add(position, count);
  }

  #connect(position: number, job: Job): void {
    const dependencies = edgesOfJob(job, position, this.#positions).map(({ target, element }) =>
      this.#dependency(target, element ?? WHOLE),
    );
    this.#grown.dependencies.set(position, dependencies);
    for (const awaited of dependencies) {
      if (awaited.kind === 'job') addTo(this.#grown.onJob, awaited.job, position);
      else addTo(this.#grown.onTask, awaited.task, position);
    }
  }

  #dependency(job: number, element: number): Dependency {
    const isKnown = element < this.sizeOf(job) && !this.isOpen(job);
    if (element === WHOLE || !isKnown) return { kind: 'job', job };
    return { kind: 'task', job, task: this.firstTaskOf(job) + element };
  }

  /** Position of the job that the task belongs to. */
  jobOf(task: number): number {
    const job = this.#jobOfTask.at(task);
    assert(job !== undefined, `task ${task} is one of ${this.taskCount}`);
    return job;
  }

  /** The task's `PODMESH_INDEX`; undefined for the only task of a job without `count`. */
  elementOf(task: number): number | undefined {
    const job = this.jobOf(task);
    const isElement =
      this.#jobs[job]?.count !== undefined ||
      (this.#standIns.has(job) && task !== this.#standIns.get(job));
    return isElement ? task - this.firstTaskOf(job) : undefined;
  }

  /** The tasks of a job are `sizeOf` numbers in a row from here; of an open one that which stands for them. */
  firstTaskOf(job: number): number {
    const first = this.#firstTask.at(job);
    assert(first !== undefined, `job at position ${job} is in the graph`);
    return first;
  }

  sizeOf(job: number): number {
    return this.#size.at(job) ?? 0;
  }

  /** Position of a job of this graph. */
  positionOf(job: JobId): number {
    const position = this.#positions.get(job);
    assert(position !== undefined, `job ${job} is in the graph`);
    return position;
  }

  /** Position of a job that somebody names; undefined when there is none. */
  findJob(job: string): number | undefined {
    return this.#positions.get(job);
  }

  idOf(task: number): TaskId {
    const job = this.#jobs[this.jobOf(task)];
    const element = this.elementOf(task);
    return taskId(element === undefined ? `${job?.id}` : `${job?.id}:${element}`);
  }

  /** Undefined when the graph has no such task. */
  numberOf(task: TaskId): number | undefined {
    const { job: id, element } = taskParts(task);
    const job = this.#positions.get(id);
    if (job === undefined) return undefined;
    if (element === undefined && this.#standIns.has(job)) return this.#standIns.get(job);
    const number = this.firstTaskOf(job) + Number(element ?? 0);
    const known = number < this.firstTaskOf(job) + this.sizeOf(job);
    return known && this.idOf(number) === task ? number : undefined;
  }

  /** What must have succeeded before any task of the job may start; nothing is named twice. */
  dependenciesOf(job: number): readonly Dependency[] {
    const grown = this.#grown.dependencies.get(job);
    if (grown !== undefined) return grown;
    const { start, target, element } = this.#edges;
    const dependencies: Dependency[] = [];
    for (let edge = start[job] ?? 0; edge < (start[job + 1] ?? 0); edge++) {
      dependencies.push(this.#dependency(target[edge] ?? 0, element[edge] ?? WHOLE));
    }
    return dependencies;
  }

  /** Positions of the jobs that wait for all tasks of this job. */
  dependentsOfJob(job: number): readonly number[] {
    return joined(rowOf(this.#awaitingJob, job), this.#grown.onJob.get(job));
  }

  /** Positions of the jobs that wait for this task alone, and not for the rest of its job. */
  dependentsOfTask(task: number): readonly number[] {
    return joined(rowOf(this.#awaitingTask, task), this.#grown.onTask.get(task));
  }
}

/** Who waits for whom, of what was added: few compared with the document. */
interface Grown {
  readonly dependencies: Map<number, readonly Dependency[]>;
  /** Jobs that wait for all of a job, by job. */
  readonly onJob: Map<number, number[]>;
  /** Jobs that wait for one task alone, by task. */
  readonly onTask: Map<number, number[]>;
}

function addTo<T>(lists: Map<number, T[]>, key: number, value: T): void {
  const list = lists.get(key);
  if (list === undefined) lists.set(key, [value]);
  else list.push(value);
}

function joined(some: readonly number[], more: readonly number[] | undefined): readonly number[] {
  return more === undefined ? some : [...some, ...more];
}

/** Numbers the tasks of a graph; linear in jobs, tasks and references. */
export function indexTasks(graph: Graph): TaskIndex {
  return new TaskIndex(graph);
}

/** In {@link JobEdges.element}. */
const WHOLE = -1;

/** Who waits for one element of a job. */
interface Awaiting {
  readonly element: number;
  readonly waiting: number;
}

/** What is waited for, and who waits. */
type Pair = readonly [awaited: number, waiting: number];

function reversed({ start, target, element }: JobEdges): {
  readonly whole: readonly Pair[];
  readonly single: readonly (Awaiting & { readonly target: number })[];
} {
  const whole: Pair[] = [];
  const single: (Awaiting & { readonly target: number })[] = [];
  for (let job = 0; job < start.length - 1; job++) {
    for (let edge = start[job] ?? 0; edge < (start[job + 1] ?? 0); edge++) {
      const other = target[edge] ?? 0;
      const one = element[edge] ?? WHOLE;
      if (one === WHOLE) whole.push([other, job]);
      else single.push({ target: other, element: one, waiting: job });
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
