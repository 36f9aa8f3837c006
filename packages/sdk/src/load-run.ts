import {
  applyEvent,
  buildRecord,
  initialRunState,
  type Logged,
  type RunEnded,
  type RunId,
  type RunPublished,
  type RunRecord,
  type RunState,
  recordHeader,
  unsettledCount,
} from '@podmesh/core';
import { loadGraph } from '@podmesh/jetstream';
import type { Client } from './client.ts';
import { NoSuchRunError } from './no-such-run-error.ts';
import { readWhole } from './read-whole.ts';

/** A run whose log is there: what it says, folded. */
export interface LoggedRun {
  readonly kind: 'logged';
  readonly run: RunId;
  readonly published: RunPublished;
  readonly publishedAt: string;
  readonly endedAt: string | undefined;
  readonly state: RunState;
}

/** A finished run whose log was purged: the record that outlives it. */
export interface RecordedRun {
  readonly kind: 'recorded';
  readonly run: RunId;
  readonly record: RunRecord;
}

export type LoadedRun = LoggedRun | RecordedRun;

/** Folds the run's log, or reads its record when the log is gone. Throws `NoSuchRunError`. */
export async function loadRun(client: Client, run: RunId): Promise<LoadedRun> {
  let open: Folding | undefined;
  let ended: Logged<RunEnded> | undefined;
  for await (const batch of client.runLog.read(run)) {
    for (const logged of batch) {
      const { event } = logged;
      if (event.kind === 'run-published') open = await begin(client, event, logged.at);
      if (event.kind === 'run-ended') ended = { ...logged, event };
      else if (open !== undefined && ended === undefined) applyEvent(open.state, logged);
    }
  }
  if (ended !== undefined && (open === undefined || unsettledCount(open.state) > 0)) {
    return { kind: 'recorded', run, record: await loadRecord(client, ended) };
  }
  if (open === undefined) throw new NoSuchRunError(run);
  if (ended !== undefined) applyEvent(open.state, ended);
  return { kind: 'logged', run, ...open, endedAt: ended?.at };
}

/** As {@link LoggedRun}, while it is read. */
interface Folding {
  readonly published: RunPublished;
  readonly publishedAt: string;
  readonly state: RunState;
}

async function begin(client: Client, published: RunPublished, at: string): Promise<Folding> {
  const state = initialRunState(await loadGraph(client.artifacts, published));
  return { published, publishedAt: at, state };
}

async function loadRecord(client: Client, { event, at }: Logged<RunEnded>): Promise<RunRecord> {
  const text = (await readWhole(client, event.record)).toString('utf8');
  return { endedAt: at, ...(JSON.parse(text) as RunRecord) };
}

/** The record of a run, whatever is left of it. */
export function toRecord(loaded: LoadedRun): RunRecord {
  if (loaded.kind === 'recorded') return loaded.record;
  return buildRecord(loaded.published, loaded.state, timesOf(loaded));
}

/** The record without its tasks. */
export function toHeader(loaded: LoadedRun): Omit<RunRecord, 'tasks'> {
  if (loaded.kind === 'logged')
    return recordHeader(loaded.published, loaded.state, timesOf(loaded));
  const { tasks: _, ...header } = loaded.record;
  return header;
}

function timesOf({ publishedAt, endedAt }: LoggedRun) {
  return { published: publishedAt, ...(endedAt === undefined ? {} : { ended: endedAt }) };
}
