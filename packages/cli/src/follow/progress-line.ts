import {
  isSettled,
  type RunState,
  type TaskId,
  type TaskReport,
  taskTotal,
  unsettledCount,
  waitsForPerson,
} from '@podmesh/core';
import { durationText } from '../render/amounts.ts';
import { sanitise } from '../render/sanitise.ts';
import { reportText } from './task-reports.ts';

const BAR_CELLS = 20;
const RUNNING_NAMED = 4;

/** What a task said of itself last. */
type ReportOf = (task: TaskId) => TaskReport | undefined;

/** How far a run is, in one line of at most `columns` characters. */
export function progressLine(
  state: RunState,
  elapsedMs: number,
  columns: number,
  reportOf: ReportOf = () => undefined,
): string {
  const total = taskTotal(state);
  const done = total - unsettledCount(state);
  const open = openJobs(state);
  const filled = total === 0 ? BAR_CELLS : Math.floor((done / total) * BAR_CELLS);
  const bar = `[${'#'.repeat(filled)}${'.'.repeat(BAR_CELLS - filled)}]`;
  const { cached, failed, skipped, cancelled } = state.counts;
  const parts = [
    `${bar} ${done}/${total}${open.length === 0 ? '' : '+'}`,
    durationText(elapsedMs),
    ...counted(cached, 'cached'),
    ...counted(failed, 'failed'),
    ...counted(skipped, 'skipped'),
    ...counted(cancelled, 'cancelled'),
    ...counted(state.held.size, 'held'),
    ...unexpandedText(state, open),
    state.running.size === 0 ? waitingText(state) : runningText(state, reportOf),
  ];
  const line = parts.join(' · ');
  return line.length <= columns ? line : `${line.slice(0, Math.max(0, columns - 1))}…`;
}

const counted = (count: number, word: string): readonly string[] =>
  count === 0 ? [] : [`${count} ${word}`];

/** `tag: not expanded yet`: how many tasks it will have nobody knows. */
function unexpandedText(state: RunState, open: readonly number[]): readonly string[] {
  const [first, ...others] = open;
  if (first === undefined) return [];
  const more = others.length === 0 ? '' : ` and ${others.length} more`;
  return [`${state.index.jobs[first]?.id}${more}: not expanded yet`];
}

/** Jobs whose number of tasks is still to be known. */
function openJobs({ index, tasks }: RunState): readonly number[] {
  return index.openJobs.filter((job) => {
    const now = tasks[index.firstTaskOf(job)];
    return now !== undefined && !isSettled(now);
  });
}

function waitingText(state: RunState): string {
  if (state.ended !== undefined || unsettledCount(state) === 0) return 'finishing';
  if (waitsForPerson(state)) return 'waiting for a person';
  return state.cancelRequested ? 'stopping' : 'waiting for a peer';
}

function runningText(state: RunState, reportOf: ReportOf): string {
  const named: string[] = [];
  for (const task of state.running) {
    if (named.length === RUNNING_NAMED) break;
    const now = state.tasks[task];
    if (now?.kind !== 'running') continue;
    const id = state.index.idOf(task);
    const said = reportText(reportOf(id) ?? {});
    named.push(`${id} (${now.peer}${said === '' ? '' : `, ${sanitise(said)}`})`);
  }
  const dots = state.running.size > named.length ? ', …' : '';
  return `${state.running.size} running: ${named.join(', ')}${dots}`;
}
