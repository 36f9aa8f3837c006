import { type RunRecord, type TaskId, unreachable } from '@podmesh/core';
import { type Client, readWhole } from '@podmesh/sdk';
import { EXIT, type ExitCode } from '../exit-code.ts';
import { withProgramErrors } from '../mesh/program-error.ts';
import { heldSummary } from '../render/held-summary.ts';
import { printLines } from '../render/print.ts';
import { runSummary } from '../render/run-summary.ts';
import type { World } from '../world.ts';

/** Only that many failures are shown in full, so no more logs are needed. */
const TAILS_MAX = 3;
/** A log larger than this is not fetched for its last lines. */
const TAIL_LOG_BYTES_MAX = 4 * 1024 * 1024;

/** Tells people how a run ended, or that it waits for them, with what they need to go on; the exit code that says the same. */
export async function reportEnd(
  world: World,
  client: Client,
  record: RunRecord,
): Promise<ExitCode> {
  if (record.state === 'running') {
    await printLines(world.terminal, heldSummary(record));
    return exitCodeOf(record);
  }
  const tails = await logTails(client, record);
  const told = await withProgramErrors(client, record);
  await printLines(world.terminal, runSummary(told, tails));
  return exitCodeOf(record);
}

/** 0 when all succeeded; 1 when it failed or was cancelled; 4 when it was followed no further because it waits for a person. */
export function exitCodeOf({ state }: Pick<RunRecord, 'state'>): ExitCode {
  switch (state) {
    case 'succeeded':
      return EXIT.success;
    case 'running':
      return EXIT.held;
    case 'failed':
    case 'cancelled':
      return EXIT.failed;
    default:
      return unreachable(state);
  }
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
