import {
  type JobId,
  type PeerEntry,
  type Requirements,
  type RunId,
  type RunRecord,
  type RunState,
  type TaskCounts,
  type TaskId,
  type TaskState,
  taskTotal,
  unsettledCount,
  waitsForPerson,
} from '@podmesh/core';
import { countText } from '../render/amounts.ts';
import { type JudgedTask, judgePeers, type PeerVerdict } from './judge-peers.ts';
import { nextRequirements } from './next-requirements.ts';
import { placementAdvice, placementText } from './placement-text.ts';

/** Why a run is where it is; the JSON shape of `podmesh explain RUN`. */
export interface RunExplanation {
  readonly kind: 'run';
  readonly run: RunId;
  readonly state: RunRecord['state'];
  readonly summary: string;
  readonly counts: TaskCounts & {
    readonly tasks: number;
    readonly waiting: number;
    readonly ready: number;
    readonly running: number;
    readonly held: number;
  };
  /** Whether the queue of drives has an entry for it: without one nobody decides what is next. */
  readonly driveQueued: boolean;
  readonly peers: number;
  /** What the ready tasks wait for, by like requirements. */
  readonly ready: readonly ReadyGroup[];
  /** Tasks that failed, at most ten. */
  readonly failed: readonly TaskId[];
  /** Tasks that wait for a person, at most ten. */
  readonly held: readonly TaskId[];
  readonly advice: readonly string[];
}

/** Ready tasks with the same requirements; of one job, where a peer leaves that to others. */
export interface ReadyGroup {
  readonly count: number;
  /** One of them. */
  readonly example: TaskId;
  readonly requirements: Requirements;
  readonly peers: readonly PeerVerdict[];
}

/** What is known when a run is explained. */
export interface ExplainedRun {
  readonly run: RunId;
  readonly state: RunState;
  readonly peers: readonly PeerEntry[];
  readonly driveQueued: boolean;
}

const NAMED_MAX = 10;
const GROUPS_MAX = 10;

/** Says what a run waits for, or how it ended. */
export function explainRun({ run, state, peers, driveQueued }: ExplainedRun): RunExplanation {
  const ready = readyGroups(run, state, peers);
  const { size: readyCount } = state.ready;
  const { size: running } = state.running;
  const { size: heldCount } = state.held;
  const waiting = unsettledCount(state) - readyCount - running - heldCount;
  const held = tasksOfKind(state, 'held');
  const known: Known = { state, ready, running, held, peers: peers.length, driveQueued };
  return {
    kind: 'run',
    run,
    state: state.ended?.state ?? 'running',
    summary: summaryOf(known),
    counts: {
      tasks: taskTotal(state),
      ...state.counts,
      waiting,
      ready: readyCount,
      running,
      held: heldCount,
    },
    driveQueued,
    peers: peers.length,
    ready,
    failed: tasksOfKind(state, 'failed'),
    held,
    advice: adviceFor(run, known),
  };
}

/** Says what a record still tells of a run whose log was purged. */
export function explainRecordedRun({ run, state, counts, tasks }: RunRecord): RunExplanation {
  const failed = tasks.filter((task) => task.state === 'failed').map(({ task }) => task);
  return {
    kind: 'run',
    run,
    state,
    summary: `it has ended: ${state}; only its record is left`,
    counts: { ...counts, waiting: 0, ready: 0, running: 0, held: 0 },
    driveQueued: false,
    peers: 0,
    ready: [],
    failed: failed.slice(0, NAMED_MAX),
    held: [],
    advice: failed.length > 0 ? [`What failed: podmesh show ${run}`] : [],
  };
}

interface Known {
  readonly state: RunState;
  readonly ready: readonly ReadyGroup[];
  readonly running: number;
  readonly held: readonly TaskId[];
  readonly peers: number;
  readonly driveQueued: boolean;
}

function summaryOf({ state, ready, running, peers, driveQueued }: Known): string {
  if (state.ended !== undefined) return `it has ended: ${state.ended.state}`;
  if (waitsForPerson(state)) {
    const { size } = state.held;
    return `it waits for a person: ${countText(size, 'task')} ${size === 1 ? 'is' : 'are'} held, and nothing else can go on`;
  }
  if (peers === 0) return 'it does not move: no peer is there';
  const [largest] = ready;
  if (state.cancelRequested)
    return `it is being cancelled; still to stop: ${countText(running, 'task')}`;
  if (!driveQueued) {
    return 'no driver is asked for at the moment; a peer notices that by itself within a minute';
  }
  if (running > 0) return `it goes on; running now: ${countText(running, 'task')}`;
  if (largest !== undefined) {
    return `it waits for a peer with ${countText(largest.count, 'ready task')} like ${largest.example}: ${placementText(largest.peers)}`;
  }
  const [unkept] = state.unkept;
  if (unkept !== undefined) {
    const more =
      state.unkept.size === 1 ? '' : ` and of ${countText(state.unkept.size - 1, 'more task')}`;
    return `all tasks are settled; it waits for copies of the outputs of ${state.index.idOf(unkept)}${more} on other peers, a minute at most where nobody takes them`;
  }
  return 'all tasks are settled; its driver is writing the record';
}

function adviceFor(run: RunId, known: Known): readonly string[] {
  const { state, ready, running, peers, held } = known;
  const failed = state.counts.failed > 0 ? [`What failed: podmesh show ${run}`] : [];
  if (state.ended !== undefined) return failed;
  const [first] = held;
  if (first !== undefined) {
    return [
      ...failed,
      `Why ${first} is held: podmesh explain ${run}/${first}`,
      `Let what is held be tried again: podmesh release ${run}`,
      `Or end the run: podmesh cancel ${run}`,
    ];
  }
  if (peers === 0) return [...failed, ...placementAdvice([])];
  const stuck = ready.find((group) => group.peers[0]?.verdict === 'unsuitable');
  if (stuck !== undefined) return [...failed, ...placementAdvice(stuck.peers)];
  if (running > 0) return [...failed, `See it move: podmesh wait ${run}`];
  return [...failed, ...(ready[0] === undefined ? [] : placementAdvice(ready[0].peers))];
}

/** The largest groups first. */
function readyGroups(
  run: RunId,
  state: RunState,
  peers: readonly PeerEntry[],
): readonly ReadyGroup[] {
  const groups = new Map<string, { count: number; first: number; judged: JudgedTask }>();
  const left = jobsLeft(run, peers);
  for (const task of state.ready) {
    const job = state.graph.jobs[state.index.jobOf(task)];
    const now = state.tasks[task];
    if (job === undefined || now?.kind !== 'ready') continue;
    const requirements = nextRequirements(job.requirements, now.past, peers);
    // Of one lane some ran out of memory and ask for more by now.
    const alike = `${job.lane} ${requirements.memoryBytes} ${left.has(job.id) ? job.id : ''}`;
    const group = groups.get(alike);
    const judged = { run, job: job.id, requirements };
    if (group === undefined) groups.set(alike, { count: 1, first: task, judged });
    else group.count += 1;
  }
  return [...groups.values()]
    .sort((a, b) => b.count - a.count || a.first - b.first)
    .slice(0, GROUPS_MAX)
    .map(({ count, first, judged }) => {
      const example = state.index.idOf(first);
      const { requirements } = judged;
      return { count, example, requirements, peers: judgePeers(judged, peers) };
    });
}

/** Jobs of the run that some peer leaves to others. */
function jobsLeft(run: RunId, peers: readonly PeerEntry[]): ReadonlySet<JobId> {
  const rations = peers.flatMap((peer) => peer.rations ?? []);
  return new Set(rations.filter((ration) => ration.run === run).map(({ job }) => job));
}

function tasksOfKind(state: RunState, wanted: TaskState['kind']): readonly TaskId[] {
  const found: TaskId[] = [];
  for (const [task, { kind }] of state.tasks.entries()) {
    if (found.length === NAMED_MAX) break;
    if (kind === wanted) found.push(state.index.idOf(task));
  }
  return found;
}
