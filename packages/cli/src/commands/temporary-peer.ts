import type { Options } from '../arguments/parse-command-line.ts';
import { CliError } from '../cli-error.ts';
import { meshUrl } from '../mesh/open-client.ts';
import type { World } from '../world.ts';

/** As long as another daemon may take to be ready, or to be gone. */
const OTHER_READY_MS = 60_000;
/** A home that is taken is tried again after this long. */
const BUSY_REST_MS = 500;
const HINT = 'no daemon runs here: starting a temporary peer ("podmesh up" makes one that stays)\n';

/** The mesh to publish in; when nobody names one and none runs here, that of a temporary peer. */
export async function meshForRun(world: World, options: Options): Promise<string> {
  const url = await meshUrl(world, options.text('nats'));
  if (url !== undefined) return url;
  world.terminal.err(HINT);
  return startTemporaryPeer(world, options);
}

/**
 * A temporary peer may have decided to leave just before something was published through it. Its home
 * keeps the run, and its server comes back at the same address.
 */
export async function keepPeer(world: World, options: Options): Promise<void> {
  if ((await meshUrl(world, options.text('nats'))) !== undefined) return;
  world.terminal.err('the temporary peer has just left: starting another one\n');
  await startTemporaryPeer(world, options);
}

/** A temporary peer does not stay for what only a person can move on, and its mesh leaves with it. */
export async function tellWhereHeld(world: World, options: Options): Promise<void> {
  if ((options.text('nats') ?? world.env.PODMESH_NATS ?? '') !== '') return;
  if ((await world.home.daemon())?.temporary === false) return;
  world.terminal.err(
    'the temporary peer leaves in a moment; the run is kept for a peer that stays: podmesh up --detach\n',
  );
}

async function startTemporaryPeer(world: World, options: Options): Promise<string> {
  const words = ['--until-idle', ...(options.flag('allow-root') ? ['--allow-root'] : [])];
  const endMs = performance.now() + OTHER_READY_MS;
  for (;;) {
    try {
      return (await world.daemon.startInBackground(words)).nats;
    } catch (error) {
      if (!isBusy(error) || performance.now() >= endMs) throw error;
    }
    // Another "podmesh run" was a moment faster: then its peer is as good as ours. Or the one that is
    // leaving has not freed its home yet: then ours can start as soon as it has.
    const other = await world.home.daemonWithin(BUSY_REST_MS);
    if (other !== undefined) return other.nats;
  }
}

function isBusy(error: unknown): boolean {
  return error instanceof CliError && error.message.includes('another podmesh daemon');
}
