import { replacePrivately } from '@podmesh/authority';
import { peerId } from '@podmesh/core';
import { CliError } from '../cli-error.ts';
import { EXIT, type ExitCode } from '../exit-code.ts';
import { ANCHORS_PATH, untilAnchorsChanged } from '../home/anchors-change.ts';
import { openDaemonSocket } from '../home/daemon-socket.ts';
import { printJson, printLines } from '../render/print.ts';
import type { World } from '../world.ts';

export interface RescueWords {
  readonly action: string | undefined;
  readonly names: readonly string[];
  /** Names with commas between them. */
  readonly lost: string | undefined;
  readonly json: boolean;
}

/**
 * `podmesh anchors rescue --lost PEER,PEER`: asks the daemon of this home alone, for the mesh answers nobody. Where none
 * runs, since none comes up in a mesh that stands still, the next one finds it noted.
 */
export async function rescueAnchors(
  world: World,
  { action, names, lost, json }: RescueWords,
): Promise<ExitCode> {
  const gone = (lost ?? '').split(',').filter((name) => name !== '');
  if (action !== 'rescue' || names.length > 0 || gone.length === 0)
    throw new CliError(
      'arguments',
      '"podmesh anchors rescue" names those that are lost, and no others',
      {
        advice: 'Use: podmesh anchors rescue --lost PEER,PEER',
      },
    );
  const peers = gone.map(peerId);
  if (!(await world.home.hasKeys())) world.terminal.err(KEYS_ELSEWHERE);
  if ((await world.home.daemon()) === undefined) return note(world, peers, json);
  const socket = await openDaemonSocket(world);
  const begun = await socket.post(ANCHORS_PATH, { lost: peers });
  const told = await untilAnchorsChanged(world, socket, begun);
  if (json) await printJson(world.terminal, { lost: peers, told });
  else await printLines(world.terminal, rescuedLines(peers));
  return EXIT.success;
}

/** For the next daemon of this home, which refuses what may not be. */
async function note(
  { home, terminal }: World,
  lost: readonly string[],
  json: boolean,
): Promise<ExitCode> {
  if (!(await home.hasServers()))
    throw new CliError('daemon', `no anchor was ever in ${home.path}: there is nothing to rescue`, {
      advice: 'Type it on an anchor that is left, or name its home with PODMESH_HOME.',
    });
  await replacePrivately(home.at('nats', 'rescue.json'), `${JSON.stringify({ lost })}\n`);
  if (json) await printJson(terminal, { lost, told: 'noted' });
  else
    await printLines(terminal, [
      `no daemon runs in ${home.path}: as soon as it is started, it goes on without ${lost.join(', ')}, ` +
        'unless one of them answers then',
      'To start it: podmesh up --detach',
      ...AFTERWARDS,
    ]);
  return EXIT.success;
}

const KEYS_ELSEWHERE =
  'the keys of the mesh are not here: without them nobody can make other machines anchors, invite or revoke. If the ' +
  'machine that had them is lost, only a copy of its folder authority can\n';

/** What it means, whenever it is done. */
const AFTERWARDS = [
  'What others than this machine had stored, the lost ones or any that comes back, and this one had not, is in the mesh no ' +
    'more: facts of the last moments, or of all the time that this machine was away. Runs go on from what is here.',
  'Who comes back and finds this mesh keeps what it had, in the folder nats/over-gN of its home, and serves it no more.',
  'The lost must not come back with their old disks where they do not reach this machine: podmesh join makes each a peer anew.',
  'It is the only copy now. With three steady machines: podmesh anchors set A B C',
];

const rescuedLines = (lost: readonly string[]): readonly string[] => [
  `this machine carries the mesh alone, without ${lost.join(', ')}`,
  ...AFTERWARDS,
];
