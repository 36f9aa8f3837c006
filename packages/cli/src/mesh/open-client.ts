import { PortError } from '@podmesh/core';
import { type Client, type MeshReach, NotAMemberError, REACH_TEXTS } from '@podmesh/sdk';
import { CliError } from '../cli-error.ts';
import type { World } from '../world.ts';

/**
 * Where the mesh is, as far as anybody said: `--nats`, `PODMESH_NATS`, the daemon of this machine, or the mesh that this
 * home has joined and whose servers run elsewhere.
 */
export async function meshUrl(
  world: World,
  given: string | undefined,
): Promise<string | undefined> {
  const named = given ?? world.env.PODMESH_NATS;
  if (named !== undefined && named !== '') return named;
  return (await world.home.daemon())?.nats ?? (await world.home.joinedMesh());
}

/** Which mesh somebody named; whoever follows a run tells by itself how the mesh is reached meanwhile. */
interface NamedMesh {
  readonly url: string | undefined;
  readonly isFollowed: boolean;
}

/**
 * Runs `use` with a client of the mesh and closes it, and says so when it has to wait. Throws a `CliError` when no mesh
 * can be reached.
 */
export async function withClient<T>(
  world: World,
  given: string | undefined | NamedMesh,
  use: (client: Client) => Promise<T>,
): Promise<T> {
  const named = typeof given === 'object' ? given : { url: given, isFollowed: false };
  const url = await meshUrl(world, named.url);
  if (url === undefined) throw noMesh(world.home.path);
  const client = await openClient(world, url);
  const remark = (reach: MeshReach): void => world.terminal.err(`${REACH_TEXTS[reach]}\n`);
  const forget = named.isFollowed ? undefined : client.onReach(remark);
  try {
    return await use(client);
  } finally {
    forget?.();
    await client.close();
  }
}

/** Connects; every failure to do so means that no mesh can be reached. */
export async function openClient(world: World, url: string): Promise<Client> {
  try {
    return await world.connect(url);
  } catch (error) {
    if (error instanceof TypeError) {
      throw new CliError('arguments', error.message, {
        advice: 'Give --nats or PODMESH_NATS as nats://[token@]host:port.',
        cause: error,
      });
    }
    if (error instanceof PortError || error instanceof NotAMemberError)
      throw new CliError('no-mesh', error.message, { cause: error });
    throw error;
  }
}

function noMesh(home: string): CliError {
  return new CliError('no-mesh', `no podmesh daemon runs on this machine (in ${home})`, {
    advice: 'Start one with "podmesh up --detach", or name a mesh with --nats URL or PODMESH_NATS.',
  });
}
