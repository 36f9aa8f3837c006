import { basename, resolve } from 'node:path';
import type { PeerEntry } from '@podmesh/core';
import type { Invocation, Options } from '../arguments/parse-command-line.ts';
import { CliError } from '../cli-error.ts';
import { EXIT, type ExitCode } from '../exit-code.ts';
import { meshUrl } from '../mesh/open-client.ts';
import { readMesh } from '../mesh/read-mesh.ts';
import { imageTable, type ListedImage } from '../render/image-table.ts';
import { printJson, printLines } from '../render/print.ts';
import type { World } from '../world.ts';
import { imageTags } from './image-tags.ts';
import { refuseRoot } from './refuse-root.ts';

/** `podmesh image build DIR`, `podmesh image ls` and `podmesh image tags [NAME]`. */
export async function image(world: World, { operands, options }: Invocation): Promise<ExitCode> {
  const [action = '', ...rest] = operands;
  if (action === 'build') return build(world, rest, options);
  for (const name of ['tag', 'file']) {
    if (options.text(name) !== undefined)
      throw wrongWords(`"podmesh image ${action}" has no --${name}`);
  }
  if (action === 'ls') return ls(world, rest, options);
  if (action === 'tags') return imageTags(world, rest, options);
  throw wrongWords(`"podmesh image" does not know ${JSON.stringify(action)}`);
}

async function build(
  world: World,
  [directory]: readonly string[],
  options: Options,
): Promise<ExitCode> {
  if (directory === undefined) throw wrongWords('"podmesh image build" needs DIR');
  refuseRoot(world, 'image build', options.flag('allow-root'));
  const file = options.text('file');
  const path = resolve(world.cwd, directory);
  const built = await world.images.build({
    directory: path,
    tag: options.text('tag') ?? defaultTag(path),
    ...(file === undefined ? {} : { file: resolve(world.cwd, file) }),
  });
  if (options.flag('json')) await printJson(world.terminal, built);
  else await printLines(world.terminal, [`${built.image}  ${built.name}`]);
  return EXIT.success;
}

/** A directory's name as Podman accepts it. */
export function defaultTag(directory: string): string {
  const name = basename(directory)
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-|-$/g, '');
  if (name !== '') return `localhost/${name}:latest`;
  throw wrongWords(`${directory} has no name to call an image by: give --tag NAME`);
}

async function ls(world: World, rest: readonly string[], options: Options): Promise<ExitCode> {
  if (rest[0] !== undefined) throw wrongWords(`one word too many: ${JSON.stringify(rest[0])}`);
  const images = await listed(world, options);
  if (options.flag('json')) await printJson(world.terminal, images);
  else await printLines(world.terminal, imageTable(images));
  return EXIT.success;
}

async function listed(world: World, options: Options): Promise<readonly ListedImage[]> {
  const nats = options.text('nats');
  if ((await meshUrl(world, nats)) !== undefined) {
    return readMesh(world, nats, async (client) => imagesOf(await client.peers.list()));
  }
  world.terminal.err("no mesh is up: these are this machine's own images\n");
  const own = Object.entries(await world.images.list()).filter(([, names]) => names.length > 0);
  return sorted(own.map(([id, references]) => ({ image: id, references, peers: [] })));
}

function imagesOf(entries: readonly PeerEntry[]): readonly ListedImage[] {
  const found = new Map<
    string,
    { references: Set<string>; peers: ListedImage['peers'][number][] }
  >();
  for (const { peer, machine, images } of entries) {
    for (const [id, references] of Object.entries(images)) {
      const known = found.get(id) ?? { references: new Set(), peers: [] };
      for (const reference of references) known.references.add(reference);
      known.peers.push({ peer, arch: machine.arch });
      found.set(id, known);
    }
  }
  return sorted(
    [...found].map(([id, { references, peers }]) => ({
      image: id,
      references: [...references].sort(),
      peers: peers.sort((a, b) => (a.peer < b.peer ? -1 : 1)),
    })),
  );
}

/** By name; images without one last. */
function sorted(images: readonly ListedImage[]): readonly ListedImage[] {
  const key = ({ image: id, references: [first] }: ListedImage): string => first ?? `~${id}`;
  return [...images].sort((a, b) => (key(a) < key(b) ? -1 : 1));
}

function wrongWords(message: string): CliError {
  return new CliError('arguments', message, { advice: 'See: podmesh image --help' });
}
