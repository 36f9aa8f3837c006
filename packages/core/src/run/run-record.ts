import type { ArtifactId, JobId, PeerId, RunId, TaskId } from '../words/ids.ts';
import { assert, unreachable } from '../words/unreachable.ts';
import type { FailureKind } from './failure-kind.ts';
import type {
  ExitReport,
  Failure,
  Machine,
  RunEnded,
  RunPublished,
  TaskCounts,
  Usage,
} from './run-event.ts';
import { type RunState, taskTotal } from './run-state.ts';
import type { TaskReport } from './task-report.ts';
import { type PastAttempt, pastOf, type TaskState } from './task-state.ts';

/** The result record: what `podmesh show --json` prints and what outlives the log (DESIGN §5). */
export interface RunRecord {
  readonly podmeshRecord: 1;
  readonly run: RunId;
  readonly name?: string;
  readonly state: 'running' | RunEnded['state'];
  readonly publisher: string;
  readonly publishedAt: string;
  readonly endedAt?: string;
  readonly counts: TaskCounts & { readonly tasks: number };
  readonly tasks: readonly TaskRecord[];
}

export interface TaskRecord {
  readonly task: TaskId;
  readonly job: JobId;
  /** Element of an array job. */
  readonly index?: number;
  /** Of the task that stood for a `forEach` job, which is counted nowhere: how many elements there are. */
  readonly elements?: number;
  /** The task that spawned it; absent of tasks of the document. */
  readonly parent?: TaskId;
  readonly state: TaskState['kind'];
  /** Whether the result was taken from the result cache. */
  readonly cached: boolean;
  readonly inputs: Readonly<Record<string, ArtifactId>>;
  readonly outputs: Readonly<Record<string, ArtifactId>>;
  readonly exit?: ExitReport;
  readonly attempts: readonly AttemptRecord[];
  readonly machine?: Machine;
  readonly usage?: Usage;
  /** The full log of the last attempt. */
  readonly log?: ArtifactId;
  /** How often it was done again because its outputs were lost; absent: never. */
  readonly reruns?: number;
  /** The peers that keep its outputs, where they are not in the object store. */
  readonly keepers?: readonly PeerId[];
  /** Why they are fewer than wanted. */
  readonly short?: string;
  /** What it said of itself last, while it runs and where somebody heard it; never in a stored record. */
  readonly report?: TaskReport;
  readonly failure?: Pick<Failure, 'kind' | 'message' | 'stderrTail'>;
  /** The failed job that made a skipped task pointless. */
  readonly because?: JobId;
  /** Nothing failed: a condition said that it is not needed. `because` is the job that was asked. */
  readonly unneeded?: true;
}

export interface AttemptRecord {
  readonly attempt: number;
  readonly peer: PeerId;
  readonly startedAt: string;
  /** Absent while it runs. */
  readonly endedAt?: string;
  readonly outcome: 'running' | 'succeeded' | FailureKind;
  readonly message?: string;
}

/** When things happened, by the server's time, and the end's state where it is not in the log yet. */
export interface RecordTimes {
  readonly published: string;
  readonly ended?: string;
  readonly state?: RunEnded['state'];
}

/** Tells a run as its state has it now. */
export function buildRecord(
  published: RunPublished,
  state: RunState,
  times: RecordTimes,
): RunRecord {
  const tasks = state.tasks.map((_, task) => recordTask(state, task));
  return { ...recordHeader(published, state, times), tasks };
}

/** A record without its tasks, which come one by one from {@link recordTask}. */
export function recordHeader(
  published: RunPublished,
  state: RunState,
  times: RecordTimes,
): Omit<RunRecord, 'tasks'> {
  return {
    podmeshRecord: 1,
    run: published.run,
    ...(published.name === undefined ? {} : { name: published.name }),
    state: state.ended?.state ?? times.state ?? 'running',
    publisher: published.publisher,
    publishedAt: times.published,
    ...(times.ended === undefined ? {} : { endedAt: times.ended }),
    counts: { tasks: taskTotal(state), ...state.counts },
  };
}

/** One task of the record. */
export function recordTask(state: RunState, task: number): TaskRecord {
  const taskState = state.tasks[task];
  const job = state.graph.jobs[state.index.jobOf(task)];
  assert(taskState !== undefined && job !== undefined, `there is no task number ${task}`);
  const index = state.index.elementOf(task);
  const reruns = state.reruns.get(task);
  const parent = state.parents.get(state.index.jobOf(task));
  return {
    task: state.index.idOf(task),
    job: job.id,
    ...(index === undefined ? {} : { index }),
    ...(parent === undefined ? {} : { parent: state.index.idOf(parent) }),
    state: taskState.kind,
    cached: taskState.kind === 'succeeded' && taskState.cached,
    inputs: {},
    outputs: {},
    attempts: pastOf(taskState).map(recordAttempt),
    ...(reruns === undefined ? {} : { reruns }),
    ...recordState(taskState),
  };
}

function recordState(state: TaskState): Partial<TaskRecord> {
  switch (state.kind) {
    case 'waiting':
    case 'ready':
    case 'cancelled':
      return {};
    case 'expanded':
      return { elements: state.count };
    case 'running':
      return { attempts: [...state.past.map(recordAttempt), openAttempt(state)] };
    case 'skipped':
      return {
        because: state.because,
        ...(state.unneeded === undefined ? {} : { unneeded: state.unneeded }),
      };
    case 'held':
    case 'failed':
      return recordFailure(state.failure);
    case 'succeeded': {
      const { inputs, outputs, exit, machine, usage, log } = state.result;
      const { keepers, short } = state;
      return {
        ...{ inputs, outputs: digestsOf(outputs), exit, machine, usage, log: log.digest },
        ...(keepers === undefined ? {} : { keepers }),
        ...(short === undefined ? {} : { short }),
      };
    }
    default:
      return unreachable(state);
  }
}

function recordFailure(failure: Failure): Partial<TaskRecord> {
  const { kind, message, stderrTail, inputs, outputs, exit, machine, usage, log } = failure;
  return {
    failure: { kind, message, ...(stderrTail === undefined ? {} : { stderrTail }) },
    ...(inputs === undefined ? {} : { inputs }),
    ...(outputs === undefined ? {} : { outputs: digestsOf(outputs) }),
    ...(exit === undefined ? {} : { exit }),
    ...(machine === undefined ? {} : { machine }),
    ...(usage === undefined ? {} : { usage }),
    ...(log === undefined ? {} : { log: log.digest }),
  };
}

function recordAttempt(past: PastAttempt): AttemptRecord {
  const { attempt, peer, startedAt, endedAt, outcome } = past;
  const end = { attempt, peer, startedAt, endedAt };
  if (outcome === 'succeeded') return { ...end, outcome };
  return { ...end, outcome: outcome.failure.kind, message: outcome.failure.message };
}

function openAttempt(state: Extract<TaskState, { kind: 'running' }>): AttemptRecord {
  const { attempt, peer, startedAt } = state;
  return { attempt, peer, startedAt, outcome: 'running' };
}

function digestsOf(
  outputs: Readonly<Record<string, { readonly digest: ArtifactId }>>,
): Readonly<Record<string, ArtifactId>> {
  return Object.fromEntries(Object.entries(outputs).map(([name, ref]) => [name, ref.digest]));
}
