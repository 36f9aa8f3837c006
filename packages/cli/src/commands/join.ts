import { hostname, networkInterfaces } from 'node:os';
import { fingerprintOf, MeshFolder, parseJoinLine } from '@podmesh/authority';
import type { Invocation, Options } from '../arguments/parse-command-line.ts';
import { parseDuration } from '../arguments/parse-duration.ts';
import { CliError } from '../cli-error.ts';
import { EXIT, type ExitCode } from '../exit-code.ts';
import { joinMesh } from '../join/join-mesh.ts';
import { alignColumns } from '../render/align-columns.ts';
import { printJson, printLines } from '../render/print.ts';
import type { World } from '../world.ts';

const LINE_BYTES_MAX = 4_096;
const LOOK_MS_MAX = 60_000;

/** `podmesh join LINE`, or without one the meshes that are there. */
export async function join(
  world: World,
  { operands: [line], options }: Invocation,
): Promise<ExitCode> {
  if (line === undefined) return listMeshes(world, options);
  const joined = await joinHome(world, line, options.text('name'));
  if (options.flag('json')) await printJson(world.terminal, joined);
  else {
    const next = joined.role === 'user' ? 'podmesh run FILE' : 'podmesh up --detach';
    await printLines(world.terminal, [
      `this machine is ${joined.name} in the mesh ${joined.mesh}, as ${joined.role}; now: ${next}`,
    ]);
  }
  return EXIT.success;
}

/** Makes the home of this user a member. Throws a `CliError`, also where it is one already. */
export async function joinHome(world: World, said: string, name: string | undefined) {
  const line = said === '-' ? await readLine(world.stdin) : said;
  await refuseSecondMesh(world);
  const {
    mesh,
    name: member,
    role,
  } = await joinMesh(line, {
    folder: world.home.at('mesh'),
    name,
    suggestion: (await world.home.peerName()) ?? suggestedName(),
    addresses: outsideAddresses(),
  });
  // The daemon takes part under this name and no other.
  await world.home.setPeerName(member);
  return { mesh, name: member, role };
}

/** Whether the home is a member of the line's mesh already: then there is nothing to join. */
export async function isMemberOf(world: World, text: string): Promise<boolean> {
  const line = parseJoinLine(text);
  if ('kind' in line) return false;
  const certificates = await new MeshFolder(world.home.at('mesh')).certificates();
  return certificates !== undefined && fingerprintOf(certificates.ca).equals(line.fingerprint);
}

async function refuseSecondMesh({ home }: World): Promise<void> {
  if ((await home.daemon()) !== undefined) {
    throw new CliError('exists', 'a podmesh daemon runs here, in a mesh of its own or of others', {
      advice:
        'Stop it first: podmesh down. Or join with another home: PODMESH_HOME=… podmesh join LINE',
    });
  }
  const place = await new MeshFolder(home.at('mesh')).place();
  if (place === undefined) return;
  throw new CliError(
    'exists',
    `this machine is already ${place.member} in the mesh ${place.mesh}`,
    {
      advice: `To leave that mesh: rm -r ${home.at('mesh')}. To be in both: PODMESH_HOME=… podmesh join LINE`,
    },
  );
}

async function listMeshes(world: World, options: Options): Promise<ExitCode> {
  const waitMs = Math.min(parseDuration('wait', options.text('wait') ?? '2s'), LOOK_MS_MAX);
  const found = await world.daemon.discover(waitMs);
  if (options.flag('json')) {
    await printJson(world.terminal, found);
    return EXIT.success;
  }
  if (found.length === 0) {
    await printLines(world.terminal, ['no mesh tells of itself on this network']);
  } else {
    const rows = found.map(({ mesh, peer, servers }) => [mesh, peer, servers.join(' ')]);
    await printLines(world.terminal, alignColumns([['MESH', 'CARRIED BY', 'AT'], ...rows]));
  }
  world.terminal.err(
    'To join one: podmesh join LINE, with a line from its owner (podmesh invite).\n',
  );
  return EXIT.success;
}

async function readLine(stdin: AsyncIterable<Uint8Array>): Promise<string> {
  let text = '';
  for await (const piece of stdin) {
    text += Buffer.from(piece).toString('utf8');
    if (text.length > LINE_BYTES_MAX) break;
  }
  return text.trim();
}

function suggestedName(): string {
  const host = hostname().split('.')[0] ?? '';
  return host.replace(/[^A-Za-z0-9_-]/g, '-').slice(0, 40) || 'peer';
}

function outsideAddresses(): readonly string[] {
  const all = Object.values(networkInterfaces()).flatMap((some) => some ?? []);
  const outside = all.filter(({ internal, address }) => !internal && !/^fe80:/i.test(address));
  return outside.map(({ address }) => address).slice(0, 16);
}
