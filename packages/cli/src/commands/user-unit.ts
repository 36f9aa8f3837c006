import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { unreachable } from '@podmesh/core';
import type { Invocation, Options } from '../arguments/parse-command-line.ts';
import { parseDuration } from '../arguments/parse-duration.ts';
import { isServiceAction, SERVICE_ACTIONS } from '../arguments/unit-command.ts';
import { CliError } from '../cli-error.ts';
import { EXIT, type ExitCode } from '../exit-code.ts';
import { unitText } from '../home/user-unit.ts';
import { printJson, printLines } from '../render/print.ts';
import type { World } from '../world.ts';

const UNIT = 'podmesh.service';
const PROGRAM = fileURLToPath(new URL('../../bin/podmesh', import.meta.url));

/** What systemd knows of it. */
interface UnitState {
  readonly installed: boolean;
  /** As `systemctl is-enabled` and `is-active` say. */
  readonly enabled: string;
  readonly active: string;
  /** Whether it runs while its user is logged out. */
  readonly linger: boolean;
  readonly unit: string;
}

/** `podmesh service install|uninstall|status`. */
export async function service(
  world: World,
  { operands: [action = ''], options }: Invocation,
): Promise<ExitCode> {
  if (!isServiceAction(action)) {
    throw new CliError('arguments', `there is no "podmesh service ${action}"`, {
      advice: `Write one of ${SERVICE_ACTIONS.join(', ')}.`,
    });
  }
  if (world.isRoot) {
    throw new CliError(
      'root',
      'the unit is one of an ordinary user, and containers run without root',
      {
        advice: `Log in as the user who is to be a peer, and run: podmesh service ${action}`,
      },
    );
  }
  switch (action) {
    case 'install':
      return install(world, options);
    case 'uninstall':
      return uninstall(world, options);
    case 'status':
      return status(world, options);
    default:
      return unreachable(action);
  }
}

async function install(world: World, options: Options): Promise<ExitCode> {
  await systemctl(world, 'show-environment');
  const path = unitPath(world);
  const isOurs = (await stateOf(world)).active === 'active';
  if (!isOurs && (await world.home.daemon()) !== undefined) {
    throw new CliError('exists', `a daemon that was started by hand works in ${world.home.path}`, {
      advice: 'Stop it first: podmesh down; then again: podmesh service install',
    });
  }
  const { PODMESH_HOME: home } = world.env;
  const text = unitText({
    node: process.execPath,
    podmesh: PROGRAM,
    ...(home ? { home: world.home.path } : {}),
    graceMs: await graceOf(world),
  });
  await writeWhole(path, text, 0o644);
  await noteAddress(world, options.text('nats') ?? world.env.PODMESH_NATS);
  await systemctl(world, 'daemon-reload');
  await systemctl(world, 'enable', UNIT);
  // An older one goes on with the new file.
  await systemctl(world, 'restart', UNIT);
  const linger = (await isLingering(world)) || (await enableLinger(world));
  const state = await stateOf(world);
  if (options.flag('json')) await printJson(world.terminal, state);
  else {
    await printLines(world.terminal, [
      `installed and started: ${path}`,
      ...(linger
        ? ['it starts with the machine, and runs while nobody is logged in']
        : lingerAdvice(world)),
      `what it says: journalctl --user -u ${UNIT}`,
    ]);
  }
  return EXIT.success;
}

async function uninstall(world: World, options: Options): Promise<ExitCode> {
  const path = unitPath(world);
  const { installed } = await stateOf(world);
  if (installed) {
    await systemctl(world, 'disable', '--now', UNIT);
    await rm(path, { force: true });
    await systemctl(world, 'daemon-reload');
  }
  if (options.flag('json')) await printJson(world.terminal, { removed: installed, unit: path });
  else {
    const left = `the state of the peer stays in ${world.home.path}, its settings in ${environmentPath(world)}`;
    await printLines(world.terminal, [
      installed ? `stopped and removed; ${left}` : 'it is not installed',
    ]);
  }
  return EXIT.success;
}

async function status(world: World, options: Options): Promise<ExitCode> {
  const state = await stateOf(world);
  if (options.flag('json')) await printJson(world.terminal, state);
  else if (!state.installed) {
    await printLines(world.terminal, ['not installed; to have it: podmesh service install']);
  } else {
    await printLines(world.terminal, [
      `${UNIT}: ${state.active}, ${state.enabled}`,
      ...(state.linger ? ['it runs while nobody is logged in'] : lingerAdvice(world)),
    ]);
  }
  return state.active === 'active' ? EXIT.success : EXIT.failed;
}

async function stateOf(world: World): Promise<UnitState> {
  const unit = unitPath(world);
  const word = async (question: string): Promise<string> => {
    const { out } = await world.program('systemctl', ['--user', question, UNIT]);
    return out.trim().split('\n')[0] || 'unknown';
  };
  const installed = await readFile(unit).then(
    () => true,
    () => false,
  );
  const [enabled, active] = [await word('is-enabled'), await word('is-active')];
  return { installed, enabled, active, linger: await isLingering(world), unit };
}

async function isLingering(world: World): Promise<boolean> {
  const words = ['show-user', userOf(world), '--property=Linger', '--value'];
  const { out } = await world.program('loginctl', words);
  return out.trim() === 'yes';
}

/** Most systems let users do this for themselves. */
async function enableLinger(world: World): Promise<boolean> {
  const { code } = await world.program('loginctl', ['--no-ask-password', 'enable-linger']);
  return code === 0 && (await isLingering(world));
}

const lingerAdvice = (world: World): readonly string[] => [
  'it ends when you log out; to let it run on, and start with the machine, type once:',
  `  sudo loginctl enable-linger ${userOf(world)}`,
];

/** Throws a `CliError` when systemd refuses, or is not there for this user. */
async function systemctl(world: World, ...words: readonly string[]): Promise<void> {
  const { code, err } = await world.program('systemctl', ['--user', ...words]);
  if (code === 0) return;
  const said = err.trim().split('\n')[0] ?? '';
  throw new CliError('not-available', `systemctl --user ${words.join(' ')} failed: ${said}`, {
    advice:
      'A unit of a user needs systemd and a login of that user (ssh, or "machinectl shell USER@"; su is none). ' +
      'Without systemd: podmesh up --detach',
  });
}

/** What PODMESH_UP_OPTIONS of the environment file says of `--grace`, the last word of it; 0: nothing. */
async function graceOf(world: World): Promise<number> {
  const text = await readFile(environmentPath(world), 'utf8').catch(() => '');
  const lines = text.split('\n').filter((line) => line.startsWith('PODMESH_UP_OPTIONS='));
  const said = [...(lines.at(-1) ?? '').matchAll(/--grace[=\s]+([^\s'"]+)/g)].at(-1)?.[1];
  return said === undefined ? 0 : parseDuration('grace', said);
}

/** It holds a token, so it is in a file that only this user reads, and in no argument. */
async function noteAddress(world: World, nats: string | undefined): Promise<void> {
  if (!nats) return;
  const path = environmentPath(world);
  const text = await readFile(path, 'utf8').catch(() => '');
  const others = text
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('PODMESH_NATS='));
  await writeWhole(path, `${[...others, `PODMESH_NATS=${nats}`].join('\n')}\n`, 0o600);
}

async function writeWhole(path: string, text: string, mode: number): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  await writeFile(`${path}.new`, text, { mode });
  await rename(`${path}.new`, path);
}

/** The file's own place in the unit is fixed: `%h/.config`. */
const environmentPath = ({ env }: World): string =>
  join(env.HOME || homedir(), '.config', 'podmesh', 'environment');

const unitPath = ({ env }: World): string =>
  join(env.XDG_CONFIG_HOME || join(env.HOME || homedir(), '.config'), 'systemd', 'user', UNIT);

const userOf = ({ user }: World): string => user.split('@')[0] ?? user;
