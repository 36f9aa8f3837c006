import type { JoinAnswer, JoinRefusalKind, LineProblem } from '@podmesh/authority';
import { CliError } from '../cli-error.ts';

const NEW_LINE = 'Ask whoever runs the mesh for a new line: podmesh invite';

/** What to do about each refusal; what happened says the mesh. */
const ADVICE: Readonly<Record<JoinRefusalKind, string>> = {
  unknown: NEW_LINE,
  expired: NEW_LINE,
  'used-up': `${NEW_LINE} (--uses 5 makes one for five machines)`,
  revoked: NEW_LINE,
  'wrong-name': 'Join without --name, or ask for a line for that name: podmesh invite --name NAME',
  'name-taken':
    'Take another --name; or first, where the mesh was made: podmesh revoke NAME, if it is the same machine',
  'key-revoked': 'Try again: each try makes new keys.',
  malformed: 'Use the same version of podmesh here and there.',
  'other-version': 'Use the same version of podmesh here and there.',
  unavailable:
    'Try the same line again in a while; if it counts as used by then, ask for a new one.',
};

export function refusedJoin(why: JoinRefusalKind, message: string): CliError {
  const advice = Object.hasOwn(ADVICE, why) ? ADVICE[why] : NEW_LINE;
  return new CliError('no-mesh', `the mesh does not let this machine in: ${message}`, { advice });
}

export function wrongLine({ kind, message }: LineProblem): CliError {
  const advice = kind === 'mangled' ? 'Copy it again, whole.' : NEW_LINE;
  return new CliError('arguments', message, { advice });
}

export function unreachable(servers: readonly string[]): CliError {
  const message = `no server of the mesh answers at ${servers.join(' or ')}`;
  const advice =
    'Is the machine that invited on, up (podmesh up --listen 0.0.0.0), on a network that this one reaches, and ' +
    'its port open in its firewall?';
  return new CliError('no-mesh', message, { advice });
}

export function otherAuthority(server: string): CliError {
  const message = `what answers at ${server} does not prove to be the mesh of this line`;
  const advice =
    "If the mesh was made anew, or the address is another machine's now, ask for a new line: podmesh invite. " +
    'If not, somebody may stand in between: nothing was told to it.';
  return new CliError('no-mesh', message, { advice });
}

/** Throws a `CliError` for what is no answer. */
export function answerOf(bytes: Uint8Array): JoinAnswer {
  try {
    const said = JSON.parse(Buffer.from(bytes).toString('utf8')) as Partial<JoinAnswer>;
    if (said.kind === 'welcome' && typeof said.sealed === 'string')
      return { kind: 'welcome', sealed: said.sealed };
    if (said.kind === 'refused')
      return { kind: 'refused', why: said.why ?? 'malformed', message: String(said.message) };
  } catch {
    // The same as what is no answer.
  }
  const advice = 'Use the same version of podmesh here and there.';
  throw new CliError('mesh', 'the mesh gave an answer that makes no sense', { advice });
}
