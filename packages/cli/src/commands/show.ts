import { type RunRecord, recordTask, type TaskRecord } from '@podmesh/core';
import { type Client, type LoadedRun, loadRun, toHeader, toRecord } from '@podmesh/sdk';
import type { Invocation } from '../arguments/parse-command-line.ts';
import { parseRun } from '../arguments/parse-target.ts';
import { EXIT, type ExitCode } from '../exit-code.ts';
import { TaskReports } from '../follow/task-reports.ts';
import { findRun } from '../mesh/find-run.ts';
import { withProgramErrors } from '../mesh/program-error.ts';
import { readMesh } from '../mesh/read-mesh.ts';
import { printLines } from '../render/print.ts';
import { recordTable } from '../render/record-table.ts';
import type { World } from '../world.ts';

/** Tasks turned into text at a time: the record of a large run is no single string. */
const TASKS_AT_ONCE = 500;

/** `podmesh show RUN`: the record of a run as it is now. */
export async function show(world: World, { operands, options }: Invocation): Promise<ExitCode> {
  const named = parseRun(operands[0] ?? '');
  return readMesh(world, options.text('nats'), async (client) => {
    const loaded = await loadRun(client, await findRun(client, world.home, named));
    const reports = await reportsOf(client, loaded);
    if (options.flag('json')) {
      for (const piece of recordJson(loaded, reports)) await world.terminal.out(piece);
    } else {
      const record = await withProgramErrors(client, withReports(toRecord(loaded), reports));
      await printLines(world.terminal, recordTable(record, options.flag('all')));
    }
    return EXIT.success;
  });
}

/** What tasks that run now have said of themselves; nobody is listened to where nothing runs. */
async function reportsOf(client: Client, loaded: LoadedRun): Promise<TaskReports> {
  const reports = new TaskReports();
  if (loaded.kind === 'recorded' || loaded.state.running.size === 0) return reports;
  reports.start(client.liveLog, loaded.run);
  await reports.drain();
  return reports;
}

function withReports(record: RunRecord, reports: TaskReports): RunRecord {
  return { ...record, tasks: record.tasks.map((task) => withReport(task, reports)) };
}

function withReport(task: TaskRecord, reports: TaskReports): TaskRecord {
  const report = task.state === 'running' ? reports.of(task.task) : undefined;
  return report === undefined ? task : { ...task, report };
}

/** A `RunRecord` as one line of JSON, in pieces. */
export function* recordJson(loaded: LoadedRun, reports = new TaskReports()): Iterable<string> {
  const header = JSON.stringify(toHeader(loaded));
  yield `${header.slice(0, -1)},"tasks":[`;
  const count =
    loaded.kind === 'logged' ? loaded.state.index.taskCount : loaded.record.tasks.length;
  for (let first = 0; first < count; first += TASKS_AT_ONCE) {
    const last = Math.min(count, first + TASKS_AT_ONCE);
    const texts: string[] = [];
    for (let task = first; task < last; task += 1) {
      const record = taskAt(loaded, task);
      if (record !== undefined) texts.push(JSON.stringify(withReport(record, reports)));
    }
    yield `${texts.join(',')}${last < count ? ',' : ''}`;
  }
  yield ']}\n';
}

function taskAt(loaded: LoadedRun, task: number) {
  return loaded.kind === 'logged' ? recordTask(loaded.state, task) : loaded.record.tasks[task];
}
