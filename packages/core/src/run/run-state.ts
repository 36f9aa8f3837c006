import type { PinnedInputs } from '../external/input-pins.ts';
import type { Graph, Job } from '../graph/graph.ts';
import { indexTasks, type TaskIndex } from '../graph/task-index.ts';
import type { Sequence } from '../ports.ts';
import type { JobId, PeerId } from '../words/ids.ts';
import { assert } from '../words/unreachable.ts';
import type { JobExpanded, Machine, RunEnded, TaskCounts } from './run-event.ts';
import type { Spawns } from './spawns.ts';
import { type TaskAgain, type TaskState, WAITING } from './task-state.ts';

/**
 * What the run log says of one run, folded. `applyEvent` is the only writer and changes it in place
 * (a copy per event would make large runs quadratic); nothing in it comes from anywhere but the log.
 */
export interface RunState {
  readonly graph: Graph;
  readonly index: TaskIndex;
  /** By task number. */
  readonly tasks: TaskState[];
  /** By job position. */
  readonly jobs: JobProgress[];
  /** By job position: 1 of a job some output of which another job reads. */
  readonly isRead: number[];
  /** What `forEach` jobs go over, by job position, once that is known. */
  readonly expansions: Map<number, JobExpanded>;
  /** Jobs with a condition, by position, of which it is known whether they run. */
  readonly decided: Set<number>;
  /** What tasks spawned, by the number of the task that did. */
  readonly spawns: Map<number, Spawns>;
  /** Characters of all `tasks-spawned` so far, accepted or not. */
  spawnBytes: number;
  /** Job position → number of the task that spawned the job; of jobs of the document nothing. */
  readonly parents: Map<number, number>;
  /**
   * Tasks that failed or were skipped and do not fail the run: sub-tasks of one that succeeded all the same, what
   * a condition went on from, and what was not needed.
   */
  readonly handled: Set<number>;
  /** Sub-tasks that their parent wanted no more before they were settled. */
  readonly dropped: Set<number>;
  /** Tasks whose sub-tasks used up their CPU time (`budget-spent`), with the milliseconds that were told. */
  readonly spent: Map<number, number>;
  /** Tasks that may be attempted, by task number, oldest first. */
  readonly ready: Set<number>;
  /** Tasks with an open attempt, by task number. */
  readonly running: Set<number>;
  /** Tasks in quarantine, by task number. */
  readonly held: Set<number>;
  /** Cancelled and skipped tasks that an offer, made before, could still start. */
  readonly unfenced: Set<number>;
  /** Tasks that succeeded, and whose outputs nobody has brought to other peers yet. */
  readonly unkept: Set<number>;
  /** What sources outside of the mesh mean to this run. */
  readonly pins: PinnedInputs;
  /** How often the outputs of a task were lost; of most tasks never. */
  readonly reruns: Map<number, number>;
  /** Where `run-ended`, or the next `outputs-lost`, has to land: behind the last `outputs-lost`. */
  lossSequence: Sequence;
  readonly counts: { -readonly [Name in keyof TaskCounts]: number };
  cancelRequested: boolean;
  ended: RunEnded | undefined;
  /** Sequence of the last event folded. */
  sequence: Sequence;
  /** One object per distinct machine, so that many results do not hold many copies. */
  readonly machines: Map<PeerId, Machine>;
  /** Names that many results repeat, each kept once. */
  readonly texts: Map<string, string>;
}

export interface JobProgress {
  /** Dependencies that are not met yet. */
  unmet: number;
  /** Tasks that have not succeeded yet. */
  remaining: number;
  /** Set when this job can no longer succeed: by itself, or for a job that it depends on. */
  doomedBy: JobId | undefined;
  /** Set when a job that it depends on can no longer succeed: what waits in it never runs. */
  blockedBy: JobId | undefined;
}

/** The state of a run of which nothing but its graph is known. */
export function initialRunState(graph: Graph): RunState {
  const index = indexTasks(graph);
  const state: RunState = {
    // One list of jobs, which grows.
    graph: { ...graph, jobs: index.jobs },
    index,
    tasks: new Array<TaskState>(index.taskCount).fill(WAITING),
    jobs: graph.jobs.map((_, job) => ({
      unmet: index.dependenciesOf(job).length,
      remaining: index.sizeOf(job),
      doomedBy: undefined,
      blockedBy: undefined,
    })),
    ready: new Set(),
    running: new Set(),
    held: new Set(),
    unfenced: new Set(),
    unkept: new Set(),
    pins: new Map(),
    reruns: new Map(),
    lossSequence: 0,
    isRead: new Array<number>(graph.jobs.length).fill(0),
    expansions: new Map(),
    decided: new Set(),
    spawns: new Map(),
    spawnBytes: 0,
    parents: new Map(),
    handled: new Set(),
    dropped: new Set(),
    spent: new Map(),
    counts: { succeeded: 0, cached: 0, failed: 0, skipped: 0, cancelled: 0 },
    cancelRequested: false,
    ended: undefined,
    sequence: 0,
    machines: new Map(),
    texts: new Map(),
  };
  noteReaders(state, graph.jobs);
  state.jobs.forEach((progress, job) => {
    if (progress.unmet === 0) makeReady(state, job);
  });
  return state;
}

/** Whose outputs these jobs read. */
export function noteReaders({ isRead, index }: RunState, jobs: readonly Job[]): void {
  for (const { inputs, container, forEach, when } of jobs) {
    if (when?.kind === 'output') isRead[index.positionOf(when.job)] = 1;
    if (forEach !== undefined) isRead[index.positionOf(forEach.job)] = 1;
    for (const source of [...Object.values(inputs), container]) {
      if (source.kind === 'output') isRead[index.positionOf(source.job)] = 1;
    }
  }
}

/** All tasks of a job whose dependencies are met may be attempted. */
export function makeReady(state: RunState, job: number): void {
  const first = state.index.firstTaskOf(job);
  // Until it is known whether the job is needed one task stands for it.
  const size = isUndecided(state, job) ? 1 : state.index.sizeOf(job);
  for (let task = first; task < first + size; task += 1) {
    const before = state.tasks[task];
    if (before?.kind !== 'waiting') continue;
    state.tasks[task] = { kind: 'ready', ...(before.again ?? NEVER_TRIED) };
    state.ready.add(task);
  }
}

/** Whether nobody has looked yet at the condition of the job. */
export function isUndecided({ index, decided }: RunState, job: number): boolean {
  return index.jobs[job]?.when !== undefined && !decided.has(job);
}

const NEVER_TRIED: TaskAgain = { past: [], forgiven: 0, sequence: 0 };

/** Whether nothing can happen in the run until a person releases a held task, or cancels it. */
export function waitsForPerson({ held, ready, running, ended }: RunState): boolean {
  return ended === undefined && held.size > 0 && ready.size === 0 && running.size === 0;
}

/** How many tasks can still change. */
export function unsettledCount(state: RunState): number {
  const { succeeded, failed, skipped, cancelled } = state.counts;
  return taskTotal(state) - succeeded - failed - skipped - cancelled;
}

/** How many tasks the run has, as far as that is known; one for each job whose elements are not. */
export function taskTotal({ index, expansions }: RunState): number {
  return index.taskCount - expansions.size;
}

/** How far a job is, by its position. */
export function progressOf(state: RunState, job: number): JobProgress {
  const found = state.jobs[job];
  assert(found !== undefined, `there is no job number ${job}`);
  return found;
}
