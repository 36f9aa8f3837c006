import {
  type LiveLog,
  type LogChunk,
  type RunId,
  readReportLine,
  type TaskId,
  type TaskReport,
} from '@podmesh/core';
import { LiveReader } from '../logs/live-reader.ts';

/** Tasks whose last word is kept. */
const TASKS_MAX = 10_000;
/** A report alone is this long at most, whatever a task prints. */
const REPORT_BYTES_MAX = 32 * 1024;

/** What tasks say of themselves while they run: best effort, the last word of the newest attempt. */
export class TaskReports {
  readonly #last = new Map<TaskId, { readonly attempt: number; readonly report: TaskReport }>();
  #reader: LiveReader | undefined;

  /** From now on each is heard as it comes. */
  start(liveLog: LiveLog, run: RunId): void {
    this.#reader ??= new LiveReader(liveLog, { run, task: undefined }, async (chunk) =>
      this.take(chunk),
    );
  }

  /** Resolves when what there is now was heard. */
  async drain(): Promise<void> {
    await this.#reader?.drain().catch(() => undefined);
  }

  /** Harmless when never started, or twice. */
  async stop(): Promise<void> {
    await this.#reader?.stop().catch(() => undefined);
  }

  take({ task, attempt, bytes }: LogChunk): void {
    if (bytes.length > REPORT_BYTES_MAX) return;
    const report = readReportLine(Buffer.from(bytes).toString('utf8'));
    const before = this.#last.get(task);
    if (report === undefined || (before !== undefined && before.attempt > attempt)) return;
    if (before === undefined && this.#last.size >= TASKS_MAX) return;
    this.#last.set(task, { attempt, report });
  }

  of(task: TaskId): TaskReport | undefined {
    return this.#last.get(task)?.report;
  }
}

/** Such as `50% half of it`; empty where nothing was said for people. */
export function reportText({ fraction, message }: TaskReport): string {
  const percent = fraction === undefined ? [] : [`${Math.floor(fraction * 100)}%`];
  return [...percent, ...(message === undefined ? [] : [message])].join(' ');
}
