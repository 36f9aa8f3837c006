import { type LogChunk, type RunId, readReportLine, type TaskId } from '@podmesh/core';
import type { Client } from '@podmesh/sdk';
import type { LogPlace } from './find-log.ts';
import { LiveReader } from './live-reader.ts';
import type { LogPrinter } from './log-printer.ts';
import { holeText, printTail, printWhole } from './stored-log.ts';

/** A task that was asked about, and where its log is. */
export interface TaskLog {
  readonly task: TaskId;
  readonly place: LogPlace;
}

/** Where logs go: into `printer` what was written, and to `remark` what is to be said beside it. */
export interface LogOutlet {
  readonly printer: LogPrinter;
  readonly remark: (text: string) => void;
}

/** More tasks than this are not listed together. */
export const TASKS_PRINTED_MAX = 200;

/** Prints the whole log of one task as far as it is there; whether anything of it came live. */
export async function printOne(
  client: Client,
  { printer, remark }: LogOutlet,
  { run, task, place }: TaskLog & { readonly run: RunId },
): Promise<boolean> {
  let seenLive = false;
  if (place.kind === 'stored') await printWhole(client, printer, { task, ...place });
  if (place.kind === 'live') {
    await new LiveReader(client.liveLog, { run, task }, async (chunk) => {
      if (chunk.attempt !== place.attempt || isReport(chunk)) return;
      seenLive = true;
      await printer.write(task, chunk.attempt, chunk.bytes);
    }).drain();
  }
  await printer.finish();
  remarkHole({ task, place }, remark);
  return seenLive;
}

/** Prints the ends of the logs of many tasks, in order, and then what is there of those that run. */
export async function printMany(
  client: Client,
  { printer, remark }: LogOutlet,
  { run, tasks }: { readonly run: RunId; readonly tasks: readonly TaskLog[] },
): Promise<void> {
  const open = new Map<TaskId, number>();
  const printed = tasks.slice(0, TASKS_PRINTED_MAX);
  for (const { task, place } of printed) {
    if (place.kind === 'stored') await printTail(client, printer, { task, ...place });
    if (place.kind === 'live') open.set(task, place.attempt);
  }
  if (open.size > 0) {
    await new LiveReader(client.liveLog, { run, task: undefined }, async (chunk) => {
      if (open.get(chunk.task) !== chunk.attempt || isReport(chunk)) return;
      await printer.write(chunk.task, chunk.attempt, chunk.bytes);
    }).drain();
  }
  await printer.finish();
  for (const one of printed) remarkHole(one, remark);
}

/** What a task says of its progress comes on the same channel. */
function isReport({ bytes }: LogChunk): boolean {
  return readReportLine(Buffer.from(bytes).toString('utf8')) !== undefined;
}

/** Not into the log: its bytes are what the task wrote. */
function remarkHole({ task, place }: TaskLog, remark: LogOutlet['remark']): void {
  const text = place.kind === 'stored' ? holeText({ task, ...place }) : undefined;
  if (text !== undefined) remark(text);
}
