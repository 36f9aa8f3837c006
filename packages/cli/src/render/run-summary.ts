import {
  FAILURE_POLICIES,
  type JobId,
  type RunRecord,
  type TaskId,
  type TaskRecord,
} from '@podmesh/core';
import { alignColumns } from './align-columns.ts';
import { countText, spanText } from './amounts.ts';

const OUTPUTS_SHOWN = 20;
const FAILURES_SHOWN = 3;
const STDERR_LINES_SHOWN = 20;

/** What is said at the end of a run; `tails` holds the ends of logs of failed tasks without standard error. */
export function runSummary(
  record: RunRecord,
  tails: ReadonlyMap<TaskId, string> = new Map(),
): readonly string[] {
  const headline = `run ${record.run} ${record.state}${timeText(record)}: ${countsText(record)}`;
  const outputs = outputLines(record);
  const failed = record.tasks.filter((task) => task.failure !== undefined);
  const more = failed.length - FAILURES_SHOWN;
  return [
    ...failed
      .slice(0, FAILURES_SHOWN)
      .flatMap((task) => failureLines(record, task, tails.get(task.task))),
    ...(more > 0 ? [`and ${countText(more, 'more failed task')}: podmesh show ${record.run}`] : []),
    headline,
    ...shortLines(record),
    ...outputs,
  ];
}

/** `1 copy only: no other peer is in the mesh`. */
export function copiesText({ keepers = [], short }: Pick<TaskRecord, 'keepers' | 'short'>): string {
  if (keepers.length === 0) return `no copy for sure: ${short}`;
  const copies = keepers.length === 1 ? '1 copy only' : `${keepers.length} copies`;
  return `${copies}: ${short}`;
}

/** Outputs that one lost disk, or one lost machine, would take along. */
function shortLines({ run, tasks }: RunRecord): readonly string[] {
  const [first, ...others] = tasks.filter(({ short }) => short !== undefined);
  if (first === undefined) return [];
  const more = others.length === 0 ? '' : `, and of ${countText(others.length, 'more task')}`;
  return [
    `outputs of ${first.task}${more} are less safe than asked for (${copiesText(first)})`,
    `  to be safe, fetch them: podmesh get ${run}/${first.task}/${Object.keys(first.outputs)[0] ?? ''}`,
  ];
}

/** `3 tasks, 2 succeeded (1 from the cache), 1 held`. */
export function countsText(record: Pick<RunRecord, 'counts' | 'tasks'>): string {
  const { tasks, succeeded, cached, failed, skipped, cancelled } = record.counts;
  const fromCache = cached === 0 ? '' : ` (${cached} from the cache)`;
  const parts = [
    [succeeded, `succeeded${fromCache}`],
    [failed, 'failed'],
    [skipped, 'skipped'],
    [cancelled, 'cancelled'],
    [heldTasks(record).length, 'held'],
  ] as const;
  const said = parts.filter(([count]) => count > 0).map(([count, what]) => `${count} ${what}`);
  return [countText(tasks, 'task'), ...said].join(', ');
}

/** Tasks that wait for a person; the counts of a record do not tell them. */
export function heldTasks({ tasks }: Pick<RunRecord, 'tasks'>): readonly TaskRecord[] {
  return tasks.filter(({ state }) => state === 'held');
}

function timeText({ publishedAt, endedAt }: RunRecord): string {
  const span = spanText(publishedAt, endedAt);
  return span === '' ? '' : ` after ${span}`;
}

function failureLines(
  { run }: RunRecord,
  { task, failure, attempts }: TaskRecord,
  tail: string | undefined,
): readonly string[] {
  if (failure === undefined) return [];
  const meaning = FAILURE_POLICIES[failure.kind].meaning;
  const tries = attempts.length > 1 ? ` after ${attempts.length} attempts` : '';
  const shown = failure.stderrTail?.trim() ? failure.stderrTail : tail;
  const from = failure.stderrTail?.trim() ? 'standard error' : 'its log';
  const lines = lastLines(shown ?? '', STDERR_LINES_SHOWN);
  return [
    `${task} failed${tries}: ${failure.kind} (${meaning}): ${failure.message}`,
    ...(lines.length === 0 ? [] : [`  the end of ${from}:`, ...lines.map((line) => `    ${line}`)]),
    `  see more: podmesh logs ${run}/${task}`,
    `            podmesh explain ${run}/${task}`,
  ];
}

/** The last lines of a text, without empty ones at its end. */
export function lastLines(text: string, count: number): readonly string[] {
  const trimmed = text.replace(/\s+$/, '');
  return trimmed === '' ? [] : trimmed.split('\n').slice(-count);
}

interface NamedOutput {
  readonly job: JobId;
  readonly output: string;
  readonly digests: string[];
}

function outputLines(record: RunRecord): readonly string[] {
  const named = new Map<string, NamedOutput>();
  for (const { job, outputs } of record.tasks) {
    for (const [output, digest] of Object.entries(outputs)) {
      const key = `${job}/${output}`;
      const known = named.get(key) ?? { job, output, digests: [] };
      known.digests.push(digest);
      named.set(key, known);
    }
  }
  if (named.size === 0) return [];
  const rows = [...named.entries()]
    .slice(0, OUTPUTS_SHOWN)
    .map(([key, { digests }]): readonly string[] => [
      `  ${key}`,
      digests.length === 1 ? (digests[0] ?? '') : countText(digests.length, 'element'),
    ]);
  const more = named.size - OUTPUTS_SHOWN;
  return [
    'outputs:',
    ...alignColumns(rows),
    ...(more > 0 ? [`  and ${more} more: podmesh show ${record.run} --json`] : []),
    `to fetch one: podmesh get ${record.run}/${[...named.keys()][0]}`,
  ];
}
