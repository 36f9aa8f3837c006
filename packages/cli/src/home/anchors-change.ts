import { setTimeout as pause } from 'node:timers/promises';
import { CliError } from '../cli-error.ts';
import type { World } from '../world.ts';
import type { Answer, DaemonSocket } from './daemon-socket.ts';

/** Copying everything takes as long as everything is large. */
const CHANGE_MS_MAX = 15 * 60_000;
const LOOK_MS = 250;
/** Where a daemon is told to change who carries the mesh. */
export const ANCHORS_PATH = '/v1/anchors';

/**
 * How the change ended that the daemon began with this answer; shows the steps as they come. Throws a `CliError` when the
 * anchors stay what they were, or another change is told of by now.
 */
export async function untilAnchorsChanged(
  world: World,
  socket: DaemonSocket,
  begun: Answer,
): Promise<string> {
  if (begun.told === 'nothing') return 'done';
  const end = performance.now() + CHANGE_MS_MAX;
  let shown = '';
  while (performance.now() < end) {
    const answer = await socket.get(ANCHORS_PATH);
    if (answer.change !== begun.change) throw otherChange();
    const told = String(answer.told);
    if (told.startsWith('failed: ')) throw stays(told.slice('failed: '.length));
    if (told.startsWith('paused ') || told === 'done') return told;
    if (told !== shown) world.terminal.err(`${told}\n`);
    shown = told;
    await pause(LOOK_MS);
  }
  throw new CliError('daemon', `the anchors are still being changed (${shown})`, {
    advice: 'The daemon of this home goes on with it. What stands now: podmesh anchors',
  });
}

function otherChange(): CliError {
  return new CliError('daemon', 'another change of the anchors took the place of this one', {
    advice:
      'Somebody else asked for it, or the daemon of this home was started again. What stands now: podmesh anchors',
  });
}

function stays(why: string): CliError {
  return new CliError('daemon', `the anchors stay what they were: ${why}`, {
    advice: 'The log of the daemon of this home says more; what it copied is forgotten.',
  });
}
