import {
  type AttemptRecord,
  FAILURE_POLICIES,
  type FailureKind,
  type Job,
  type JobId,
  type PeerEntry,
  type Requirements,
  type RunId,
  type RunState,
  recordTask,
  type TaskId,
  type TaskRecord,
  type TaskState,
  unreachable,
} from '@podmesh/core';
import { failureAdvice } from './failure-advice.ts';
import { judgePeers, type PeerVerdict } from './judge-peers.ts';
import { placementAdvice, placementText } from './placement-text.ts';

/** Why a task is where it is; the JSON shape of `podmesh explain RUN/TASK`. */
export interface TaskExplanation {
  readonly kind: 'task';
  readonly run: RunId;
  readonly task: TaskId;
  readonly state: TaskState['kind'];
  /** One or two sentences. */
  readonly summary: string;
  /** What it waits for. */
  readonly waitingFor?: readonly Awaited[];
  /** Of a task that waits for a peer. */
  readonly requirements?: Requirements;
  readonly peers?: readonly PeerVerdict[];
  readonly attempts: readonly AttemptRecord[];
  readonly failure?: {
    readonly kind: FailureKind;
    readonly meaning: string;
    readonly message: string;
    readonly stderrTail?: string;
  };
  /** The failed job that made it pointless. */
  readonly because?: JobId;
  /** What the user can do. */
  readonly advice: readonly string[];
}

/** A dependency that is not met. */
export interface Awaited {
  /** A job, or one element of an array job. */
  readonly task: TaskId | JobId;
  /** How far it is: a task's state, or how many tasks of the job have succeeded. */
  readonly progress: string;
}

/** What is known when a task is explained. */
export interface ExplainedTask {
  readonly run: RunId;
  readonly state: RunState;
  /** Task number. */
  readonly task: number;
  readonly peers: readonly PeerEntry[];
}

/** Says why the task is not running, or what happened to it. */
export function explainTask(of: ExplainedTask): TaskExplanation {
  const { run, state, task } = of;
  const now = state.tasks[task];
  const job = state.graph.jobs[state.index.jobOf(task)];
  if (now === undefined || job === undefined) throw new Error(`there is no task number ${task}`);
  const { attempts } = recordTask(state, task);
  const id = state.index.idOf(task);
  return { kind: 'task', run, task: id, state: now.kind, attempts, ...specifics(of, now, job) };
}

/** Says what a record still tells of a task whose log was purged. */
export function explainRecorded(run: RunId, record: TaskRecord): TaskExplanation {
  const { task, state, attempts, failure, because } = record;
  const summary = `it ${state === 'succeeded' ? 'has succeeded' : `is ${state}`}; only the record of the run is left`;
  return {
    kind: 'task',
    run,
    task,
    state,
    summary,
    attempts,
    ...(failure === undefined
      ? {}
      : { failure: { ...failure, meaning: FAILURE_POLICIES[failure.kind].meaning } }),
    ...(because === undefined ? {} : { because }),
    advice: failure === undefined ? [] : failureAdvice(failure.kind, `${run}/${task}`),
  };
}

type Specifics = Omit<TaskExplanation, 'kind' | 'run' | 'task' | 'state' | 'attempts'>;

function specifics(of: ExplainedTask, now: TaskState, job: Job): Specifics {
  const id = of.state.index.idOf(of.task);
  switch (now.kind) {
    case 'waiting':
      return whileWaiting(of);
    case 'ready':
      return whileReady(of, now.past.length, job.requirements);
    case 'running':
      return {
        summary: `attempt ${now.attempt} runs on ${now.peer} since ${now.startedAt}`,
        advice: [`See what it writes: podmesh logs ${of.run}/${id} -f`],
      };
    case 'succeeded':
      return {
        summary: now.cached
          ? 'its result was taken from the cache: the same work was done before, and its outputs are all there'
          : `it succeeded with attempt ${now.past.at(-1)?.attempt ?? 1}`,
        advice: [],
      };
    case 'failed': {
      const { kind, message, stderrTail } = now.failure;
      const { meaning, charges } = FAILURE_POLICIES[kind];
      const tail = stderrTail === undefined ? {} : { stderrTail };
      const limit =
        charges === 'task' ? `"retries" is ${job.retries}` : "the mesh's patience ended";
      return {
        summary: `it failed: ${meaning}; there will be no other attempt (${now.past.length} made, ${limit})`,
        failure: { kind, meaning, message, ...tail },
        advice: failureAdvice(kind, `${of.run}/${id}`),
      };
    }
    case 'skipped':
      return {
        summary: `it never ran and never will: it depends on ${now.because}, which failed`,
        because: now.because,
        advice: [`Why that failed: podmesh explain ${of.run}/${now.because}`],
      };
    case 'cancelled':
      return { summary: 'the run was cancelled before it was done', advice: [] };
    default:
      return unreachable(now);
  }
}

function whileWaiting({ run, state, task }: ExplainedTask): Specifics {
  const waitingFor = unmetOf(state, task);
  const names = waitingFor.map((one) => one.task).join(', ');
  const root = rootOf(state, task);
  const direct = waitingFor.some((one) => one.task === root?.task);
  const chain =
    root === undefined || direct
      ? ''
      : `, and in the end for ${root.task}, which is ${root.progress}`;
  return {
    summary: `it waits for ${names === '' ? 'its turn' : names}${chain}`,
    waitingFor,
    advice: root === undefined ? [] : [`Why that takes long: podmesh explain ${run}/${root.task}`],
  };
}

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

function whileReady(of: ExplainedTask, made: number, requirements: Requirements): Specifics {
  const peers = judgePeers(requirements, of.peers);
  const again = made === 0 ? '' : `; attempt ${made} failed and there will be another`;
  return {
    summary: `it is ready and waits for a peer${again}: ${placementText(peers)}`,
    requirements,
    peers,
    advice: placementAdvice(peers),
  };
}
