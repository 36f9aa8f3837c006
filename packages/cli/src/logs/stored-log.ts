import type { ArtifactId, TaskId } from '@podmesh/core';
import type { Client } from '../mesh/client.ts';
import { bytesText } from '../render/amounts.ts';
import type { LogPrinter } from './log-printer.ts';

/** Of the log of each task among many, this much of its end is shown. */
const TAIL_BYTES = 64 * 1024;
/** A log has to be read from its beginning, which is too much for the end of a larger one. */
const READ_BYTES_MAX = 16 * 1024 * 1024;

export interface StoredLog {
  readonly task: TaskId;
  readonly attempt: number;
  readonly log: ArtifactId;
}

/** Prints all of a stored log. */
export async function printWhole(
  client: Client,
  printer: LogPrinter,
  { task, attempt, log }: StoredLog,
): Promise<void> {
  for await (const bytes of client.artifacts.get(log)) await printer.write(task, attempt, bytes);
}

/** Prints the end of a stored log, beginning with a whole line; says in the log's place what is left out. */
export async function printTail(
  client: Client,
  printer: LogPrinter,
  { task, attempt, log }: StoredLog,
): Promise<void> {
  const say = (text: string) => printer.write(task, attempt, Buffer.from(`[podmesh: ${text}]\n`));
  const ref = (await client.artifacts.stat([log])).get(log);
  if (ref === undefined) return say('its log is not stored any more');
  if (ref.bytes > READ_BYTES_MAX)
    return say(`its log has ${bytesText(ref.bytes)}; ask for it alone`);
  let tail = Buffer.alloc(0);
  for await (const bytes of client.artifacts.get(log)) {
    tail = Buffer.concat([tail, bytes]).subarray(-TAIL_BYTES);
  }
  if (tail.length < ref.bytes) {
    tail = tail.subarray(tail.indexOf('\n') + 1);
    await say(`${bytesText(ref.bytes - tail.length)} of its log left out`);
  }
  await printer.write(task, attempt, tail);
}
