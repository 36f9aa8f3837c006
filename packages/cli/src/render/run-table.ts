import type { RunEnded, RunId, TaskCounts } from '@podmesh/core';
import { alignColumns } from './align-columns.ts';
import { durationText } from './amounts.ts';

/** One line of `podmesh ps`, and its JSON shape. */
export interface ListedRun {
  readonly run: RunId;
  readonly name?: string;
  /** `held`: nothing happens in it before a person acts; told only of runs with counts. */
  readonly state: 'running' | 'held' | 'cancelling' | RunEnded['state'];
  readonly tasks: number;
  /** Absent of unfinished runs beyond the newest few. */
  readonly counts?: TaskCounts & { readonly held: number };
  readonly publisher: string;
  readonly publishedAt: string;
  readonly endedAt?: string;
}

const HEADER = ['RUN', 'NAME', 'STATE', 'DONE', 'FAILED', 'HELD', 'CACHED', 'AGE', 'TOOK', 'BY'];

/** The runs as a table. */
export function runTable(runs: readonly ListedRun[], now: Date): readonly string[] {
  if (runs.length === 0) return ['no runs yet; publish one with: podmesh run FILE'];
  return alignColumns([HEADER, ...runs.map((run) => row(run, now))]);
}

function row(listed: ListedRun, now: Date): readonly string[] {
  const { run, name = '', state, tasks, counts, publisher, publishedAt, endedAt } = listed;
  const begun = Date.parse(publishedAt);
  const took = endedAt === undefined ? '' : durationText(Date.parse(endedAt) - begun);
  const done =
    counts === undefined
      ? '?'
      : counts.succeeded + counts.failed + counts.skipped + counts.cancelled;
  return [
    run,
    name,
    state,
    `${done}/${tasks}`,
    counts === undefined ? '?' : String(counts.failed),
    counts === undefined ? '?' : String(counts.held),
    counts === undefined ? '?' : String(counts.cached),
    durationText(now.getTime() - begun),
    took,
    publisher,
  ];
}
