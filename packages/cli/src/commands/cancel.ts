import type { Invocation } from '../arguments/parse-command-line.ts';
import { parseRun } from '../arguments/parse-target.ts';
import { CliError } from '../cli-error.ts';
import { EXIT, type ExitCode } from '../exit-code.ts';
import { findRun, noSuchRun } from '../mesh/find-run.ts';
import { withClient } from '../mesh/open-client.ts';
import { printJson, printLines } from '../render/print.ts';
import type { World } from '../world.ts';

/** `podmesh cancel RUN`: asks for the end of a run; whoever runs a task of it stops it. */
export async function cancel(world: World, { operands, options }: Invocation): Promise<ExitCode> {
  const named = parseRun(operands[0] ?? '');
  return withClient(world, options.text('nats'), async (client) => {
    const run = await findRun(client, world.home, named);
    const summary = (await client.runLog.runs()).find((known) => known.run === run);
    if (summary === undefined) throw noSuchRun(named);
    if (summary.ended !== undefined) {
      const { state } = summary.ended.event;
      throw new CliError('not-available', `run ${run} has already ended: it ${wordOf(state)}`, {
        advice: `See: podmesh show ${run}`,
      });
    }
    const reason = options.text('reason') ?? '';
    const appended = await client.runLog.append(
      { kind: 'run-cancel-requested', run, by: world.user, reason },
      0,
    );
    if (options.flag('json'))
      await printJson(world.terminal, { run, alreadyRequested: !appended.ok });
    else {
      const again = appended.ok ? 'is being cancelled' : 'was being cancelled already';
      await printLines(world.terminal, [`run ${run} ${again}; see the end: podmesh wait ${run}`]);
    }
    return EXIT.success;
  });
}

const wordOf = (state: 'succeeded' | 'failed' | 'cancelled'): string =>
  state === 'cancelled' ? 'was cancelled' : state;
