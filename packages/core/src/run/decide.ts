import type { ArtifactRef } from '../artifact/artifact.ts';
import type { Sequence } from '../ports.ts';
import { KEEPS_PER_RUN_MAX, OFFERS_PER_RUN_MAX } from '../words/limits.ts';
import { droppedAttempts, droppedCount, whyStopped } from './drop-tasks.ts';
import { wantedCopies } from './keep-outputs.ts';
import { missedAnOutput, outputsReadBy } from './lost-outputs.ts';
import type { RunEnded, TaskCounts } from './run-event.ts';
import { isUndecided, type RunState, unsettledCount } from './run-state.ts';
import { unhandledFailures } from './settle-parent.ts';

/** What should be done next, as data. Whoever carries it out may die at it: deciding again gives the same. */
export type Decision =
  /** Put the task into the queue, or take its result from the cache. */
  | { readonly kind: 'offer-task'; readonly task: number }
  /**
   * Its last attempt could not get its inputs: find out which of these outputs of other tasks nobody
   * has any more, and have them made again; offer the task if all are there. Tasks of one job share
   * the same list.
   */
  | {
      readonly kind: 'find-lost';
      readonly task: number;
      readonly artifacts: readonly ArtifactRef[];
    }
  /** What its job's condition is about is there: look, and tell whether the job is needed. */
  | { readonly kind: 'decide-when'; readonly task: number }
  /** The list that its job goes over is there: read it, and tell what the elements are. */
  | { readonly kind: 'expand-job'; readonly task: number }
  /** Bring its outputs to so many peers, or say why they are fewer. */
  | { readonly kind: 'keep-outputs'; readonly task: number; readonly copies: number }
  /** Nobody wants it any more, or its budget is used up: append the end of its attempt, so that whoever is at work on it hears of it. */
  | { readonly kind: 'stop-task'; readonly task: number; readonly why: string }
  /** Append `task-cancelled` behind `sequence`, so that no offer still on its way starts the task. */
  | { readonly kind: 'fence-task'; readonly task: number; readonly sequence: Sequence }
  /** Everything is settled: write the record and the last fact. */
  | { readonly kind: 'end-run'; readonly state: RunEnded['state']; readonly counts: TaskCounts };

/** A run of a million tasks may be cancelled: so many appends on their way at once nobody could hold. */
const FENCES_AT_ONCE = 2_000;

/**
 * Decides for one run. `offered` are the tasks whose offer the caller believes to be in the queue:
 * a memory that may be lost or wrong at no other cost than an offer made twice. At most
 * `offersMax` are out at the same time, so that many runs share the mesh.
 */
export function decide(
  state: RunState,
  offered: Pick<ReadonlySet<number>, 'has' | 'size'>,
  offersMax: number = OFFERS_PER_RUN_MAX,
): readonly Decision[] {
  if (state.ended !== undefined) return [];
  const decisions: Decision[] = [...stops(state), ...fences(state), ...keeps(state)];
  if (unsettledCount(state) === 0) {
    const isDone = state.unfenced.size === 0 && state.unkept.size === 0;
    return isDone ? [endRun(state)] : decisions;
  }
  const findLost = lostFinder(state);
  let room = offersMax - offered.size;
  for (const task of state.ready) {
    if (room <= 0) break;
    if (offered.has(task)) continue;
    if (isUndecided(state, state.index.jobOf(task))) {
      decisions.push({ kind: 'decide-when', task });
      continue;
    }
    if (state.index.isOpen(state.index.jobOf(task))) {
      decisions.push({ kind: 'expand-job', task });
      continue;
    }
    decisions.push(missedAnOutput(state, task) ? findLost(task) : { kind: 'offer-task', task });
    room -= 1;
  }
  return decisions;
}

function stops(state: RunState): readonly Decision[] {
  return [...droppedAttempts(state)].map(({ task }) => ({
    kind: 'stop-task',
    task,
    why: whyStopped(state, task),
  }));
}

function fences(state: RunState): readonly Decision[] {
  const decisions: Decision[] = [];
  for (const task of state.unfenced) {
    if (decisions.length === FENCES_AT_ONCE) break;
    const now = state.tasks[task];
    if ((now?.kind !== 'cancelled' && now?.kind !== 'skipped') || now.fence === undefined) continue;
    decisions.push({ kind: 'fence-task', task, sequence: now.fence });
  }
  return decisions;
}

/** Tasks of one job read the same: they share one list, which may be long. */
function lostFinder(state: RunState): (task: number) => Decision {
  const read = new Map<number, readonly ArtifactRef[]>();
  return (task) => {
    const job = state.index.jobOf(task);
    const artifacts = read.get(job) ?? outputsReadBy(state, job);
    read.set(job, artifacts);
    return { kind: 'find-lost', task, artifacts };
  };
}

/** The oldest first, a few at a time: each copies bytes. */
function keeps(state: RunState): readonly Decision[] {
  const decisions: Decision[] = [];
  for (const task of state.unkept) {
    if (decisions.length === KEEPS_PER_RUN_MAX) break;
    decisions.push({ kind: 'keep-outputs', task, copies: wantedCopies(state, task) });
  }
  return decisions;
}

function endRun(state: RunState): Decision {
  const { cancelled } = state.counts;
  const end =
    unhandledFailures(state) > 0
      ? 'failed'
      : cancelled > droppedCount(state) || state.cancelRequested
        ? 'cancelled'
        : 'succeeded';
  return { kind: 'end-run', state: end, counts: { ...state.counts } };
}
