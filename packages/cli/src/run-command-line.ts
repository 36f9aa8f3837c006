import type { CommandName } from './arguments/command-table.ts';
import { helpText, overviewText } from './arguments/help-text.ts';
import { type Invocation, parseCommandLine } from './arguments/parse-command-line.ts';
import { toCliError } from './cli-error.ts';
import { anchors } from './commands/anchors.ts';
import { cache } from './commands/cache.ts';
import { cancel } from './commands/cancel.ts';
import { completion } from './commands/completion.ts';
import { doctor } from './commands/doctor.ts';
import { down } from './commands/down.ts';
import { drain, undrain } from './commands/drain.ts';
import { explain } from './commands/explain.ts';
import { get } from './commands/get.ts';
import { image } from './commands/image.ts';
import { invite, invites } from './commands/invite.ts';
import { join } from './commands/join.ts';
import { logs } from './commands/logs.ts';
import { members, revoke } from './commands/members.ts';
import { peers } from './commands/peers.ts';
import { policy } from './commands/policy.ts';
import { ps } from './commands/ps.ts';
import { put } from './commands/put.ts';
import { release } from './commands/release.ts';
import { run } from './commands/run.ts';
import { show } from './commands/show.ts';
import { up } from './commands/up.ts';
import { service } from './commands/user-unit.ts';
import { wait } from './commands/wait.ts';
import { wake } from './commands/wake.ts';
import { EXIT, type ExitCode } from './exit-code.ts';
import { errorJson, errorText } from './render/error-text.ts';
import type { World } from './world.ts';

type Command = (world: World, invocation: Invocation) => Promise<ExitCode>;

const IMPLEMENTATIONS: Readonly<Record<Exclude<CommandName, 'help'>, Command>> = {
  up,
  down,
  join,
  invite,
  invites,
  members,
  revoke,
  run,
  ps,
  show,
  logs,
  wait,
  cancel,
  release,
  get,
  put,
  image,
  cache,
  peers,
  drain,
  undrain,
  wake,
  policy,
  explain,
  anchors,
  service,
  doctor,
  completion,
};

/** Does what the words after `podmesh` ask for; the exit code. Never throws: errors are told and counted. */
export async function runCommandLine(argv: readonly string[], world: World): Promise<ExitCode> {
  try {
    return await dispatch(argv, world);
  } catch (thrown) {
    const error = toCliError(thrown);
    world.terminal.err(argv.includes('--json') ? errorJson(error) : errorText(error));
    return error.exitCode;
  }
}

async function dispatch(argv: readonly string[], world: World): Promise<ExitCode> {
  const parsed = parseCommandLine(argv);
  if (!parsed.ok) throw parsed.error;
  const line = parsed.value;
  switch (line.kind) {
    case 'version':
      await world.terminal.out(`podmesh ${world.version}\n`);
      return EXIT.success;
    case 'help':
      await world.terminal.out(
        line.command === undefined ? overviewText() : helpText(line.command),
      );
      return EXIT.success;
    default: {
      const { command } = line.invocation;
      if (command === 'help') return EXIT.success;
      return IMPLEMENTATIONS[command](world, line.invocation);
    }
  }
}
