import { setTimeout as pause } from 'node:timers/promises';
import { CliError } from '../cli-error.ts';
import type { World } from '../world.ts';
import type { DaemonSocket } from './daemon-socket.ts';

/** Copying everything takes as long as everything is large. */
const CHANGE_MS_MAX = 15 * 60_000;
const LOOK_MS = 250;
/** Where a daemon is told to change who carries the mesh. */
export const ANCHORS_PATH = '/v1/anchors';

/** How it ended; shows the steps as they come. Throws a `CliError` when the anchors stay what they were. */
export async function untilAnchorsChanged(world: World, socket: DaemonSocket): Promise<string> {
  const end = performance.now() + CHANGE_MS_MAX;
  let shown = '';
  while (performance.now() < end) {
    const told = String((await socket.get(ANCHORS_PATH)).told);
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

function stays(why: string): CliError {
  return new CliError('daemon', `the anchors stay what they were: ${why}`, {
    advice: 'The log of the daemon of this home says more; what it copied is forgotten.',
  });
}
