import type { RunRecord, TaskId } from '@podmesh/core';
import { EXIT, type ExitCode } from '../exit-code.ts';
import type { Client } from '../mesh/client.ts';
import { readWhole } from '../mesh/read-whole.ts';
import { printLines } from '../render/print.ts';
import { runSummary } from '../render/run-summary.ts';
import type { World } from '../world.ts';

/** Only that many failures are shown in full, so no more logs are needed. */
const TAILS_MAX = 3;
/** A log larger than this is not fetched for its last lines. */
const TAIL_LOG_BYTES_MAX = 4 * 1024 * 1024;

/** Tells people how a run ended, with what they need to go on; the exit code that says the same. */
export async function reportEnd(
  world: World,
  client: Client,
  record: RunRecord,
): Promise<ExitCode> {
  const tails = await logTails(client, record);
  await printLines(world.terminal, runSummary(record, tails));
  return exitCodeOf(record);
}

/** 0 when all succeeded; 1 when it failed or was cancelled. */
export function exitCodeOf({ state }: Pick<RunRecord, 'state'>): ExitCode {
  return state === 'succeeded' ? EXIT.success : EXIT.failed;
}

/** The logs of failed tasks that wrote nothing to standard error. */
async function logTails(
  client: Client,
  { tasks }: RunRecord,
): Promise<ReadonlyMap<TaskId, string>> {
  const tails = new Map<TaskId, string>();
  const failed = tasks.filter(({ failure }) => failure !== undefined).slice(0, TAILS_MAX);
  for (const { task, failure, log } of failed) {
    if (log === undefined || failure?.stderrTail?.trim()) continue;
    try {
      const ref = (await client.artifacts.stat([log])).get(log);
      if (ref === undefined || ref.bytes > TAIL_LOG_BYTES_MAX) continue;
      tails.set(task, (await readWhole(client, log)).toString('utf8'));
    } catch {
      // The end of a log is a courtesy; how the run ended is not.
    }
  }
  return tails;
}
