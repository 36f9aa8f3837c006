import {
  type AttemptRecord,
  FAILURE_POLICIES,
  type Failure,
  type FailureKind,
  grownRequirements,
  isUndecided,
  type Job,
  type JobId,
  type PastAttempt,
  type PeerEntry,
  type Requirements,
  type RunId,
  type RunState,
  recordTask,
  type TaskFailed,
  type TaskHeld,
  type TaskId,
  type TaskReady,
  type TaskRecord,
  type TaskState,
  type TaskSucceeded,
  unreachable,
} from '@podmesh/core';
import { bytesText, countText } from '../render/amounts.ts';
import { failureAdvice } from './failure-advice.ts';
import { heldAdvice, lossesText } from './held-text.ts';
import { judgePeers, type PeerVerdict } from './judge-peers.ts';
import { nextRequirements } from './next-requirements.ts';
import { placementAdvice, placementText } from './placement-text.ts';
import { whileWaiting } from './while-waiting.ts';
import { whyNoMore } from './why-no-more.ts';

/** Why a task is where it is; the JSON shape of `podmesh explain RUN/TASK`. */
export interface TaskExplanation {
  readonly kind: 'task';
  readonly run: RunId;
  readonly task: TaskId;
  readonly state: TaskState['kind'];
  /** The task that it is a sub-task of. */
  readonly spawnedBy?: TaskId;
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
  const own = { run, task: id, state: now.kind, ...spawnedBy(of), attempts };
  return { kind: 'task', ...own, ...specifics(of, now, job) };
}

function spawnedBy({ state, task }: ExplainedTask): Pick<TaskExplanation, 'spawnedBy'> {
  const parent = state.parents.get(state.index.jobOf(task));
  return parent === undefined ? {} : { spawnedBy: state.index.idOf(parent) };
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
    advice: recordedAdvice(run, record),
  };
}

function recordedAdvice(run: RunId, { task, failure, usage }: TaskRecord): readonly string[] {
  if (failure === undefined) return [];
  const { maxRssBytes } = usage ?? {};
  return failureAdvice({ kind: failure.kind, target: `${run}/${task}`, maxRssBytes });
}

/** What is said of a task in one state. */
export type Specifics = Omit<
  TaskExplanation,
  'kind' | 'run' | 'task' | 'state' | 'spawnedBy' | 'attempts'
>;

function specifics(of: ExplainedTask, now: TaskState, job: Job): Specifics {
  const id = of.state.index.idOf(of.task);
  switch (now.kind) {
    case 'waiting':
      return whileWaiting(of, job);
    case 'ready':
      if (isUndecided(of.state, of.state.index.jobOf(of.task))) {
        return { summary: 'its driver is about to look whether it is needed', advice: [] };
      }
      if (of.state.index.isOpen(of.state.index.jobOf(of.task))) return whileUnexpanded(job);
      return whileReady(of, now, job);
    case 'running':
      return {
        summary: `attempt ${now.attempt} runs on ${now.peer} since ${now.startedAt}`,
        advice: [`See what it writes: podmesh logs ${of.run}/${id} -f`],
      };
    case 'succeeded':
      return {
        summary: now.cached
          ? 'its result was taken from the cache: the same work was done before, and its outputs are all there'
          : `it succeeded with attempt ${now.past.at(-1)?.attempt ?? 1}${rerunText(of)}${keptText(now)}`,
        advice: [],
      };
    case 'held':
      return whileHeld(of, now);
    case 'failed':
      return onceFailed(of, now, job);
    case 'skipped':
      if (now.unneeded) {
        const summary = `it is not needed: the condition on ${now.because} was not met`;
        return { summary, because: now.because, advice: [] };
      }
      return {
        summary: `${now.past === undefined ? 'it never ran and never will' : 'it will not run again'}: it depends on ${now.because}, which failed`,
        because: now.because,
        advice: [`Why that failed: podmesh explain ${of.run}/${now.because}`],
      };
    case 'expanded':
      return {
        summary: `it goes over ${countText(now.count, 'element')}, each a task of its own`,
        advice: [],
      };
    case 'cancelled':
      return { summary: 'the run was cancelled before it was done', advice: [] };
    default:
      return unreachable(now);
  }
}

/** The driver does that by itself, in no time unless the list is long. */
function whileUnexpanded({ forEach }: Job): Specifics {
  const list = `jobs:${forEach?.job}/${forEach?.output}`;
  return { summary: `its driver is about to read ${list}: one task for each element`, advice: [] };
}

/** Why something that had succeeded was done again. */
function rerunText({ state, task }: ExplainedTask): string {
  const reruns = state.reruns.get(task);
  if (reruns === undefined) return '';
  return `; its outputs were lost ${countText(reruns, 'time')}, so it was done again`;
}

/** Where its outputs are, when that was looked after. */
function keptText({ keepers, short }: TaskSucceeded): string {
  if (keepers === undefined) return '';
  return `; its outputs are kept on ${keepers.join(', ')}${short === undefined ? '' : ` (no more: ${short})`}`;
}

function onceFailed(
  { run, state, task, peers }: ExplainedTask,
  now: TaskFailed,
  job: Job,
): Specifics {
  const { kind, usage } = now.failure;
  const { past } = now;
  const { requirements, retries } = job;
  const limit = whyNoMore({ kind, past, retries, requirements, peers });
  const { meaning } = FAILURE_POLICIES[kind];
  const { memoryBytes } = nextRequirements(requirements, past.slice(0, -1), peers);
  return {
    summary: `it failed: ${meaning}; there will be no other attempt (${past.length} made, ${limit})`,
    failure: failureText(now.failure),
    advice: failureAdvice({
      kind,
      target: `${run}/${state.index.idOf(task)}`,
      maxRssBytes: usage?.maxRssBytes,
      memoryBytes,
    }),
  };
}

function whileHeld({ run, state, task }: ExplainedTask, { failure }: TaskHeld): Specifics {
  const { attempts } = recordTask(state, task);
  const why = 'it may take down the next peer as well, and is not tried again by itself';
  return {
    summary: `it is held for a person: it lost ${lossesText(attempts)}; ${why}`,
    failure: failureText(failure),
    advice: heldAdvice(run, state.index.idOf(task)),
  };
}

function failureText({ kind, message, stderrTail }: Failure): TaskExplanation['failure'] & object {
  const { meaning } = FAILURE_POLICIES[kind];
  return { kind, meaning, message, ...(stderrTail === undefined ? {} : { stderrTail }) };
}

function whileReady(of: ExplainedTask, { past, forgiven }: TaskReady, job: Job): Specifics {
  const requirements = nextRequirements(job.requirements, past, of.peers);
  const peers = judgePeers({ run: of.run, job: job.id, requirements }, of.peers);
  const before = beforeText(of, past, forgiven);
  return {
    summary: `it is ready and waits for a peer${before}${growthText(job, past, requirements)}: ${placementText(peers)}`,
    requirements,
    peers,
    advice: placementAdvice(peers),
  };
}

/** What became of the attempts before. */
function beforeText(
  { state, task }: ExplainedTask,
  past: readonly PastAttempt[],
  forgiven: number,
): string {
  const made = past.length;
  const last = past.at(-1)?.outcome;
  if (last === undefined || last === 'succeeded') {
    return state.reruns.has(task) ? '; its outputs were lost, so it is done again' : '';
  }
  if (made !== forgiven) return `; attempt ${made} failed and there will be another`;
  const isMadeAgain = last.failure.kind === 'input-missing';
  return `; attempt ${made} failed and ${isMadeAgain ? 'what it missed was made again' : 'a person released it'}`;
}

/** What running out of memory made of what it asks for. */
function growthText(job: Job, past: readonly PastAttempt[], { memoryBytes }: Requirements): string {
  const asked = job.requirements.memoryBytes;
  if (grownRequirements(job.requirements, past, 0) === job.requirements) return '';
  return memoryBytes > asked
    ? `, with ${bytesText(memoryBytes)} memory instead of ${bytesText(asked)}, which was not enough`
    : `, with ${bytesText(asked)} memory as before, because no peer has more`;
}
