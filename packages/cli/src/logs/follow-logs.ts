import {
  applyEvent,
  isSettled,
  type LogChunk,
  type RunState,
  readPullLine,
  readReportLine,
  type TaskId,
  waitsForPerson,
} from '@podmesh/core';
import type { Client, LoggedRun } from '@podmesh/sdk';
import { LiveReader } from './live-reader.ts';
import type { LogPrinter } from './log-printer.ts';

export interface FollowedLogs {
  readonly loaded: LoggedRun;
  /** Numbers of the tasks that were asked about. */
  readonly tasks: readonly number[];
  readonly printer: LogPrinter;
  /** Something beside the log. */
  readonly remark: (text: string) => void;
}

/**
 * Prints live output of attempts that are open now or start from now on, until none of the tasks can run
 * any more, or only after a person has released one. Live output is best effort: at the end it is compared with what the tasks really wrote.
 */
export async function followLogs(client: Client, followed: FollowedLogs): Promise<void> {
  const { loaded, tasks, printer } = followed;
  const { state, run } = loaded;
  const [only] = tasks;
  const task = tasks.length === 1 && only !== undefined ? state.index.idOf(only) : undefined;
  const tally = new Tally(state, tasks);
  const reader = new LiveReader(client.liveLog, { run, task }, async (chunk) => {
    if (!tally.wants(chunk)) return;
    const text = Buffer.from(chunk.bytes).toString('utf8');
    const pulling = readPullLine(text);
    // Neither is the task's own output: no part of its log, nor of the comparison with it.
    if (readReportLine(text) !== undefined) return;
    if (pulling !== undefined) return followed.remark(pulling);
    tally.count(chunk);
    await printer.write(chunk.task, chunk.attempt, chunk.bytes);
  });
  try {
    await untilSettled(client, loaded, tasks);
    await reader.drain(() => tally.incomplete().length === 0);
  } finally {
    await reader.stop();
  }
  await printer.finish();
  for (const id of tally.incomplete()) {
    // Not "whole": the stored one may have a hole, too, and says so itself.
    followed.remark(
      `not all of ${id} was seen live; what is stored of it: podmesh logs ${run}/${id}`,
    );
  }
  for (const task of tasks.filter((one) => state.held.has(one)).slice(0, HELD_NAMED_MAX)) {
    const id = state.index.idOf(task);
    followed.remark(`${id} is held for a person; see why: podmesh explain ${run}/${id}`);
  }
}

const HELD_NAMED_MAX = 5;

async function untilSettled(
  client: Client,
  { run, state }: LoggedRun,
  tasks: readonly number[],
): Promise<void> {
  const open = new Set(tasks);
  const isOver = (): boolean => {
    if (waitsForPerson(state)) return true;
    for (const task of open) {
      const now = state.tasks[task];
      if (now === undefined || isSettled(now)) open.delete(task);
      else if (now.kind !== 'held') return false;
    }
    return true;
  };
  const stop = new AbortController();
  try {
    if (state.ended !== undefined || isOver()) return;
    for await (const batch of client.runLog.follow(run, state.sequence, stop.signal)) {
      for (const logged of batch) {
        // After a purge the facts have holes, and the end is all that matters.
        if (logged.event.kind === 'run-ended') return;
        applyEvent(state, logged);
      }
      if (isOver()) return;
    }
  } finally {
    stop.abort();
  }
}

/** Which chunks are wanted, and how much of each attempt has come. */
class Tally {
  readonly #state: RunState;
  readonly #wanted: ReadonlySet<number>;
  /** Attempts that had ended when we began: they are printed from their stored logs. */
  readonly #before = new Set<string>();
  readonly #bytes = new Map<string, number>();

  constructor(state: RunState, tasks: readonly number[]) {
    this.#state = state;
    this.#wanted = new Set(tasks);
    for (const task of tasks) {
      const now = state.tasks[task];
      if (now === undefined || !('past' in now)) continue;
      for (const { attempt } of now.past) this.#before.add(key(state.index.idOf(task), attempt));
    }
  }

  wants({ task, attempt }: LogChunk): boolean {
    const number = this.#state.index.numberOf(task);
    return (
      number !== undefined && this.#wanted.has(number) && !this.#before.has(key(task, attempt))
    );
  }

  count({ task, attempt, bytes }: LogChunk): void {
    const name = key(task, attempt);
    this.#bytes.set(name, (this.#bytes.get(name) ?? 0) + bytes.length);
  }

  /** Tasks whose last attempt wrote more than was seen here. */
  incomplete(): readonly TaskId[] {
    const tasks: TaskId[] = [];
    for (const task of this.#wanted) {
      const now = this.#state.tasks[task];
      if (now === undefined || !('past' in now)) continue;
      const last = now.past.at(-1);
      const id = this.#state.index.idOf(task);
      if (last === undefined || this.#before.has(key(id, last.attempt))) continue;
      const log = now.kind === 'succeeded' ? now.result.log : logOfFailure(last.outcome);
      const seen = this.#bytes.get(key(id, last.attempt)) ?? 0;
      if (log !== undefined && seen < log.bytes) tasks.push(id);
    }
    return tasks;
  }
}

const key = (task: TaskId, attempt: number): string => `${task}#${attempt}`;

function logOfFailure(outcome: 'succeeded' | { readonly failure: { log?: { bytes: number } } }) {
  return outcome === 'succeeded' ? undefined : outcome.failure.log;
}
