import {
  type LaneId,
  type PeerEntry,
  type Requirements,
  type RunId,
  type RunRecord,
  type RunState,
  type TaskCounts,
  type TaskId,
  unsettledCount,
} from '@podmesh/core';
import { countText } from '../render/amounts.ts';
import { judgePeers, type PeerVerdict } from './judge-peers.ts';
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
  };
  /** Whether the queue of drives has an entry for it: without one nobody decides what is next. */
  readonly driveQueued: boolean;
  readonly peers: number;
  /** What the ready tasks wait for, by like requirements. */
  readonly ready: readonly ReadyGroup[];
  /** Tasks that failed, at most ten. */
  readonly failed: readonly TaskId[];
  readonly advice: readonly string[];
}

/** Ready tasks with the same requirements. */
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

const FAILED_MAX = 10;
const GROUPS_MAX = 10;

/** Says what a run waits for, or how it ended. */
export function explainRun({ run, state, peers, driveQueued }: ExplainedRun): RunExplanation {
  const ready = readyGroups(state, peers);
  const { size: readyCount } = state.ready;
  const { size: running } = state.running;
  const waiting = unsettledCount(state) - readyCount - running;
  const known: Known = { state, ready, running, peers: peers.length, driveQueued };
  return {
    kind: 'run',
    run,
    state: state.ended?.state ?? 'running',
    summary: summaryOf(known),
    counts: { tasks: state.index.taskCount, ...state.counts, waiting, ready: readyCount, running },
    driveQueued,
    peers: peers.length,
    ready,
    failed: failedTasks(state),
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
    counts: { ...counts, waiting: 0, ready: 0, running: 0 },
    driveQueued: false,
    peers: 0,
    ready: [],
    failed: failed.slice(0, FAILED_MAX),
    advice: failed.length > 0 ? [`What failed: podmesh show ${run}`] : [],
  };
}

interface Known {
  readonly state: RunState;
  readonly ready: readonly ReadyGroup[];
  readonly running: number;
  readonly peers: number;
  readonly driveQueued: boolean;
}

function summaryOf({ state, ready, running, peers, driveQueued }: Known): string {
  if (state.ended !== undefined) return `it has ended: ${state.ended.state}`;
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
  return 'all tasks are settled; its driver is writing the record';
}

function adviceFor(run: RunId, { state, ready, running, peers }: Known): readonly string[] {
  const failed = state.counts.failed > 0 ? [`What failed: podmesh show ${run}`] : [];
  if (state.ended !== undefined) return failed;
  if (peers === 0) return [...failed, ...placementAdvice([])];
  const stuck = ready.find((group) => group.peers[0]?.verdict === 'unsuitable');
  if (stuck !== undefined) return [...failed, ...placementAdvice(stuck.peers)];
  if (running > 0) return [...failed, `See it move: podmesh wait ${run}`];
  return [...failed, ...(ready[0] === undefined ? [] : placementAdvice(ready[0].peers))];
}

/** The largest groups first. */
function readyGroups(state: RunState, peers: readonly PeerEntry[]): readonly ReadyGroup[] {
  const groups = new Map<LaneId, { count: number; first: number }>();
  for (const task of state.ready) {
    const lane = state.graph.jobs[state.index.jobOf(task)]?.lane;
    if (lane === undefined) continue;
    const group = groups.get(lane);
    if (group === undefined) groups.set(lane, { count: 1, first: task });
    else group.count += 1;
  }
  return [...groups.values()]
    .sort((a, b) => b.count - a.count || a.first - b.first)
    .slice(0, GROUPS_MAX)
    .flatMap(({ count, first }) => {
      const requirements = state.graph.jobs[state.index.jobOf(first)]?.requirements;
      if (requirements === undefined) return [];
      const example = state.index.idOf(first);
      return [{ count, example, requirements, peers: judgePeers(requirements, peers) }];
    });
}

function failedTasks(state: RunState): readonly TaskId[] {
  const failed: TaskId[] = [];
  for (const [task, { kind }] of state.tasks.entries()) {
    if (failed.length === FAILED_MAX) break;
    if (kind === 'failed') failed.push(state.index.idOf(task));
  }
  return failed;
}
