import { LOG_BYTES_MAX, type TaskId } from '@podmesh/core';
import type { Client } from '@podmesh/sdk';
import { bytesText } from '../render/amounts.ts';
import type { KnownLog } from './find-log.ts';
import type { LogPrinter } from './log-printer.ts';

/** Of the log of each task among many, this much of its end is shown. */
const TAIL_BYTES = 64 * 1024;
/** A log has to be read from its beginning, which is too much for the end of a larger one. */
const READ_BYTES_MAX = 16 * 1024 * 1024;

export interface StoredLog {
  readonly task: TaskId;
  readonly attempt: number;
  readonly log: KnownLog;
}

/** Prints all of a stored log. */
export async function printWhole(
  client: Client,
  printer: LogPrinter,
  { task, attempt, log }: StoredLog,
): Promise<void> {
  if (log.truncated) printer.noteHole(task, attempt);
  for await (const bytes of client.artifacts.get(log.digest))
    await printer.write(task, attempt, bytes);
}

/** Prints the end of a stored log, beginning with a whole line; says in the log's place what is left out. */
export async function printTail(
  client: Client,
  printer: LogPrinter,
  { task, attempt, log }: StoredLog,
): Promise<void> {
  const say = (text: string) => printer.write(task, attempt, Buffer.from(`[podmesh: ${text}]\n`));
  if (log.truncated) printer.noteHole(task, attempt);
  const ref = (await client.artifacts.stat([log.digest])).get(log.digest);
  if (ref === undefined) return say('its log is not stored any more');
  if (ref.bytes > READ_BYTES_MAX)
    return say(`its log has ${bytesText(ref.bytes)}; ask for it alone`);
  let tail = Buffer.alloc(0);
  for await (const bytes of client.artifacts.get(log.digest)) {
    tail = Buffer.concat([tail, bytes]).subarray(-TAIL_BYTES);
  }
  if (tail.length < ref.bytes) {
    tail = tail.subarray(tail.indexOf('\n') + 1);
    await say(`${bytesText(ref.bytes - tail.length)} of its log left out`);
  }
  await printer.write(task, attempt, tail);
}

/** One line to be printed beside a log of which something is missing; undefined when it is whole. */
export function holeText({ task, attempt, log }: StoredLog): string | undefined {
  if (!log.truncated) return undefined;
  const { bytes = 0 } = log;
  const why =
    bytes >= LOG_BYTES_MAX
      ? `only its first ${bytesText(LOG_BYTES_MAX)} are kept`
      : 'its peer could not keep all of it';
  return `(the log of attempt ${attempt} of ${task} is not whole: ${why})`;
}
