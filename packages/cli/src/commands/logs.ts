import type { TaskId } from '@podmesh/core';
import { type Client, type LoadedRun, loadRun, REACH_TEXTS } from '@podmesh/sdk';
import type { Invocation, Options } from '../arguments/parse-command-line.ts';
import { parseRunTarget } from '../arguments/parse-target.ts';
import { CliError } from '../cli-error.ts';
import { EXIT, type ExitCode } from '../exit-code.ts';
import { findLog, type LogPlace } from '../logs/find-log.ts';
import { followLogs } from '../logs/follow-logs.ts';
import { LinePrinter, type LogPrinter, RawPrinter } from '../logs/log-printer.ts';
import { logRemark } from '../logs/log-remark.ts';
import {
  type LogOutlet,
  printMany,
  printOne,
  TASKS_PRINTED_MAX,
  type TaskLog,
} from '../logs/print-logs.ts';
import { findRun } from '../mesh/find-run.ts';
import { withClient } from '../mesh/open-client.ts';
import { selectTasks } from '../mesh/select-tasks.ts';
import type { World } from '../world.ts';

/** `podmesh logs RUN[/TASK]`: what tasks wrote, as one stream. */
export async function logs(world: World, { operands, options }: Invocation): Promise<ExitCode> {
  const target = parseRunTarget(operands[0] ?? '');
  const attempt = readAttempt(options.text('attempt'));
  const mesh = { url: options.text('nats'), isFollowed: true };
  return withClient(world, mesh, async (client) => {
    const loaded = await loadRun(client, await findRun(client, world.home, target.run));
    const tasks = logsOf(loaded, target.task, attempt);
    const isFollowed = options.flag('follow') && attempt === undefined;
    const printer = printerFor(world, options, tasks.length === 1);
    const remark = (text: string): void => world.terminal.err(`${text}\n`);
    const outlet = { printer, remark };
    const forget = client.onReach((reach) => remark(REACH_TEXTS[reach]));
    try {
      await printLogs(client, outlet, { loaded, tasks, isFollowed });
      if (isFollowed && loaded.kind === 'logged') {
        await followLogs(client, { loaded, tasks: selectTasks(loaded, target.task), ...outlet });
      }
    } finally {
      forget();
    }
    return EXIT.success;
  });
}

function readAttempt(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (/^[1-9]\d{0,3}$/.test(text)) return Number(text);
  throw new CliError('arguments', `--attempt ${text}: attempts are numbered from 1`);
}

function logsOf(
  loaded: LoadedRun,
  task: TaskId | undefined,
  attempt: number | undefined,
): readonly TaskLog[] {
  if (loaded.kind === 'logged') {
    const { state } = loaded;
    return selectTasks(loaded, task).map((number) => ({
      task: state.index.idOf(number),
      place: findLog(state.tasks[number] ?? { kind: 'waiting' }, attempt),
    }));
  }
  const { tasks } = loaded.record;
  return selectTasks(loaded, task).flatMap((number) => {
    const record = tasks[number];
    if (record === undefined) return [];
    const last = record.attempts.at(-1)?.attempt ?? 0;
    const isKept = record.log !== undefined && (attempt === undefined || attempt === last);
    const place: LogPlace =
      isKept && record.log !== undefined
        ? { kind: 'stored', attempt: last, log: { digest: record.log } }
        : { kind: 'none', why: 'of a run this old only the last logs are kept' };
    return [{ task: record.task, place }];
  });
}

function printerFor({ terminal }: World, options: Options, isOne: boolean): LogPrinter {
  const json = options.flag('json');
  return isOne && !json ? new RawPrinter(terminal) : new LinePrinter(terminal, json);
}

interface Asked {
  readonly loaded: LoadedRun;
  readonly tasks: readonly TaskLog[];
  readonly isFollowed: boolean;
}

/** What is there; open attempts, and what never started, are left to the follower when there is one. */
async function printLogs(
  client: Client,
  outlet: LogOutlet,
  { loaded: { run }, tasks, isFollowed }: Asked,
): Promise<void> {
  const [only] = tasks;
  if (isFollowed) {
    const past = tasks.filter(({ place }) => place.kind === 'stored' || isLost(place));
    const [one] = past;
    if (tasks.length > 1) await printMany(client, outlet, { run, tasks: past });
    else if (one !== undefined) await printOne(client, outlet, { run, ...one });
    return;
  }
  if (only !== undefined && tasks.length === 1) {
    const seenLive = await printOne(client, outlet, { run, ...only });
    const text = logRemark(only, seenLive);
    if (text !== undefined) outlet.remark(text);
    return;
  }
  await printMany(client, outlet, { run, tasks });
  const more = tasks.length - TASKS_PRINTED_MAX;
  if (more > 0) outlet.remark(`and ${more} more tasks; one by one: podmesh logs ${run}/TASK`);
}

/** Of an attempt whose peer vanished. */
const isLost = (place: LogPlace): boolean => place.kind === 'live' && place.why !== undefined;
