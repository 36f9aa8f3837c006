import type { RunRecord, TaskRecord } from '@podmesh/core';
import { reportText } from '../follow/task-reports.ts';
import { alignColumns } from './align-columns.ts';
import { countText, durationText } from './amounts.ts';
import { copiesText, countsText, heldTasks } from './run-summary.ts';
import { sanitise } from './sanitise.ts';

const TASKS_SHOWN = 200;
const DETAIL_LETTERS = 60;
const HEADER = ['TASK', 'STATE', 'TRY', 'PEER', 'TOOK', 'DETAIL'];

/** A run and its tasks for people; all of them, or the first 200. */
export function recordTable(record: RunRecord, all: boolean): readonly string[] {
  const tasks = all ? record.tasks : record.tasks.slice(0, TASKS_SHOWN);
  const more = record.tasks.length - tasks.length;
  const { run, name, state, publisher, publishedAt, endedAt } = record;
  return [
    `run        ${run}${name === undefined ? '' : ` (${name})`}`,
    `state      ${state}: ${countsText(record)}`,
    `published  ${publishedAt} by ${publisher}`,
    ...(endedAt === undefined ? [] : [`ended      ${endedAt}`]),
    '',
    ...alignColumns([HEADER, ...tasks.map(row)]),
    ...(more > 0 ? [`and ${more} more tasks: podmesh show ${run} --all`] : []),
    ...heldLines(record),
  ];
}

function heldLines(record: RunRecord): readonly string[] {
  const [first, ...others] = heldTasks(record);
  if (first === undefined) return [];
  const { run } = record;
  const held = countText(others.length + 1, 'task');
  return [
    '',
    `${held} held for a person; see why: podmesh explain ${run}/${first.task}; let go on: podmesh release ${run}`,
  ];
}

function row(task: TaskRecord): readonly string[] {
  const last = task.attempts.at(-1);
  return [
    task.parent === undefined ? task.task : `${task.task} (by ${task.parent})`,
    task.cached ? 'cached' : task.state,
    last === undefined ? '' : String(last.attempt),
    last?.peer ?? '',
    task.cached || task.usage === undefined ? '' : durationText(task.usage.wallMs),
    detail(task),
  ];
}

function detail(task: TaskRecord): string {
  const { failure, because, outputs, attempts, keepers = [], reruns, short, report } = task;
  if (failure !== undefined) return shorten(`${failure.kind}: ${failure.message}`);
  if (task.elements !== undefined) return countText(task.elements, 'element');
  if (task.unneeded) return `not needed: ${because} decides`;
  if (because !== undefined) return `because ${because} failed`;
  const last = attempts.at(-1);
  if (last?.outcome !== undefined && last.outcome !== 'succeeded' && last.outcome !== 'running') {
    return shorten(`attempt ${last.attempt} failed: ${last.outcome}`);
  }
  if (report !== undefined) return sanitise(shorten(reportText(report)));
  if (short !== undefined) return shorten(copiesText({ keepers, short }));
  const names = Object.keys(outputs).join(', ');
  if (reruns === undefined) return shorten(names);
  return shorten(`done again, its outputs were lost: ${names}`);
}

function shorten(text: string): string {
  const line = text.replace(/\s+/g, ' ');
  return line.length <= DETAIL_LETTERS ? line : `${line.slice(0, DETAIL_LETTERS - 1)}…`;
}
