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

/** `podmesh anchors rescue --lost PEER,PEER`: asks the daemon of this home alone, for the mesh answers nobody. */
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
  const socket = await openDaemonSocket(world);
  const begun = await socket.post(ANCHORS_PATH, { lost: peers });
  const told = await untilAnchorsChanged(world, socket, begun);
  if (json) await printJson(world.terminal, { lost: peers, told });
  else await printLines(world.terminal, rescuedLines(peers));
  return EXIT.success;
}

const rescuedLines = (lost: readonly string[]): readonly string[] => [
  `this machine carries the mesh alone, without ${lost.join(', ')}`,
  'What only they had stored is lost: facts of the last moments before they were, perhaps. Runs go on from what is here.',
  `They must not come back with their old disks where they do not reach this machine: podmesh join makes each a peer anew.`,
  'It is the only copy now. With three steady machines: podmesh anchors set A B C',
];
