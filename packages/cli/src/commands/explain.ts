import { type Requirements, recordTask, type TaskRecord } from '@podmesh/core';
import { type Client, type LoggedRun, loadRun, type RecordedRun } from '@podmesh/sdk';
import type { Invocation } from '../arguments/parse-command-line.ts';
import { parseRunTarget, type RunTarget } from '../arguments/parse-target.ts';
import { CliError } from '../cli-error.ts';
import { EXIT, type ExitCode } from '../exit-code.ts';
import { explainRecordedRun, explainRun, type RunExplanation } from '../explain/explain-run.ts';
import { explainRecorded, explainTask, type TaskExplanation } from '../explain/explain-task.ts';
import { runExplanationText, taskExplanationText } from '../explain/explanation-text.ts';
import { programAdvice } from '../explain/program-advice.ts';
import { sleeperAdvice } from '../explain/sleeper-advice.ts';
import { findRun } from '../mesh/find-run.ts';
import { readProgramError, withError } from '../mesh/program-error.ts';
import { readMesh } from '../mesh/read-mesh.ts';
import { selectTasks } from '../mesh/select-tasks.ts';
import { printJson, printLines } from '../render/print.ts';
import type { World } from '../world.ts';

/** `podmesh explain RUN[/TASK]`: why something waits, or what happened. */
export async function explain(world: World, { operands, options }: Invocation): Promise<ExitCode> {
  const target = parseRunTarget(operands[0] ?? '');
  return readMesh(world, options.text('nats'), async (client) => {
    const loaded = await loadRun(client, await findRun(client, world.home, target.run));
    const explained =
      loaded.kind === 'logged'
        ? await fromLog(client, loaded, target)
        : await fromRecord(client, loaded, target);
    if (options.flag('json')) await printJson(world.terminal, explained);
    else {
      const isTask = explained.kind === 'task';
      const lines = isTask ? taskExplanationText(explained) : runExplanationText(explained);
      await printLines(world.terminal, lines);
    }
    return EXIT.success;
  });
}

async function fromLog(
  client: Client,
  loaded: LoggedRun,
  target: RunTarget,
): Promise<TaskExplanation | RunExplanation> {
  const { run, state } = loaded;
  const peers = await client.peers.list();
  if (target.task !== undefined) {
    const task = chooseTask(loaded, target);
    const told = explainTask({ run, state, task, peers });
    const explained = await withSleepers(client, told, told.requirements);
    return withProgramError(client, explained, recordTask(state, task));
  }
  const driveQueued = (await client.drives.waiting()).has(run);
  const told = explainRun({ run, state, peers, driveQueued });
  return withSleepers(client, told, told.ready[0]?.requirements);
}

/** Where something waits that a sleeping machine could do. */
async function withSleepers<T extends { readonly advice: readonly string[] }>(
  client: Client,
  explained: T,
  requirements: Requirements | undefined,
): Promise<T> {
  if (requirements === undefined) return explained;
  const advice = sleeperAdvice(requirements, await client.sleepers.list());
  return { ...explained, advice: [...advice, ...explained.advice] };
}

/** Of a whole array job: the element that tells most about why it is not done. */
function chooseTask({ run, state, ...rest }: LoggedRun, { task }: RunTarget): number {
  const tasks = selectTasks({ run, state, ...rest }, task);
  for (const kind of ['failed', 'held', 'ready', 'waiting', 'running'] as const) {
    const telling = tasks.find((number) => state.tasks[number]?.kind === kind);
    if (telling !== undefined) return telling;
  }
  return tasks[0] ?? 0;
}

async function fromRecord(
  client: Client,
  loaded: RecordedRun,
  { task }: RunTarget,
): Promise<TaskExplanation | RunExplanation> {
  const { run, record } = loaded;
  if (task !== undefined) {
    const found = record.tasks[selectTasks(loaded, task)[0] ?? 0];
    if (found === undefined) throw new CliError('no-such-task', `there is no task ${task}`);
    return withProgramError(client, explainRecorded(run, found), found);
  }
  return explainRecordedRun(record);
}

/** A Python job knows more of its failure than its exit code. */
async function withProgramError(
  client: Client,
  explained: TaskExplanation,
  record: TaskRecord,
): Promise<TaskExplanation> {
  const { failure, run, task, advice } = explained;
  const error = await readProgramError(client, record);
  if (failure === undefined || error === undefined) return explained;
  return {
    ...explained,
    failure: withError(failure, error),
    advice: [...programAdvice(error, `${run}/${task}`), ...advice],
  };
}
