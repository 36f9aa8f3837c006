import { INVITED_ROLES, isServerAddress, LIFE_MS_MAX, USES_MAX } from '@podmesh/authority';
import { nearestWord } from '../arguments/nearest-word.ts';
import type { Invocation, Options } from '../arguments/parse-command-line.ts';
import { parseDuration } from '../arguments/parse-duration.ts';
import { CliError } from '../cli-error.ts';
import { EXIT, type ExitCode } from '../exit-code.ts';
import { openDaemonSocket } from '../home/daemon-socket.ts';
import { countText, durationText } from '../render/amounts.ts';
import { invitationTable, readInvitations } from '../render/invitation-table.ts';
import { printJson, printLines } from '../render/print.ts';
import type { World } from '../world.ts';

/** `podmesh invite`: one line on standard output, what is to be known of it on standard error. */
export async function invite(world: World, { options }: Invocation): Promise<ExitCode> {
  const wish = readWish(options);
  const answer = await (await openDaemonSocket(world)).post('/v1/invitations', wish);
  if (options.flag('json')) {
    await printJson(world.terminal, answer);
    return EXIT.success;
  }
  await printLines(world.terminal, [String(answer.line)]);
  const { id } = Object(answer.invitation) as { readonly id?: string };
  const then = wish.role === 'user' ? 'podmesh run FILE' : 'podmesh up --detach';
  world.terminal.err(
    `On the other machine: podmesh join LINE, and then ${then}. Good for ${durationText(wish.lifeMs)} ` +
      `and ${countText(wish.usesMax, 'machine')}, as ${wish.role}; to take it back: podmesh revoke ${id}\n`,
  );
  return EXIT.success;
}

/** `podmesh invites` */
export async function invites(world: World, { options }: Invocation): Promise<ExitCode> {
  const answer = await (await openDaemonSocket(world)).get('/v1/invitations');
  const listed = readInvitations(answer);
  if (options.flag('json')) await printJson(world.terminal, listed);
  else await printLines(world.terminal, invitationTable(listed, world.now()));
  return EXIT.success;
}

function readWish(options: Options) {
  const word = options.text('role') ?? 'peer';
  const role = INVITED_ROLES.find((one) => one === word);
  if (role === undefined) throw wrongRole(word);
  const lifeMs = parseDuration('expires', options.text('expires') ?? '1h');
  if (lifeMs < 1_000 || lifeMs > LIFE_MS_MAX) {
    const advice = 'Give at least 1s, and at most 365d.';
    throw new CliError('arguments', `--expires ${options.text('expires')} is no life of a line`, {
      advice,
    });
  }
  const uses = options.text('uses') ?? '1';
  const usesMax = /^\d{1,6}$/.test(uses) ? Number(uses) : 0;
  if (usesMax < 1 || usesMax > USES_MAX) {
    const advice = `Give a whole number from 1 to ${USES_MAX}.`;
    throw new CliError('arguments', `--uses ${uses} is no number of machines`, { advice });
  }
  const servers = options.texts('address');
  const wrong = servers.find((server) => !isServerAddress(server));
  if (wrong !== undefined) {
    const advice = 'Give HOST:PORT, an address of IPv6 in brackets, such as mesh.example.org:4222.';
    throw new CliError('arguments', `--address ${wrong} is no address with a port`, { advice });
  }
  const name = options.text('name');
  return {
    role,
    lifeMs,
    usesMax,
    ...(name === undefined ? {} : { name }),
    ...(servers.length === 0 ? {} : { servers }),
  };
}

function wrongRole(word: string): CliError {
  const nearest = nearestWord(word, INVITED_ROLES);
  const meant = nearest === undefined ? '' : `Did you mean ${nearest}? `;
  return new CliError('arguments', `--role ${word}: nobody can be invited as that`, {
    advice: `${meant}Give one of ${INVITED_ROLES.join(', ')}.`,
  });
}
