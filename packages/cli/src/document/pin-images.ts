import {
  type Graph,
  type ImageHolder,
  type ImagePins,
  type PeerEntry,
  type PinDisagreement,
  pinGraph,
  pinReference,
  unpinnedReferences,
} from '@podmesh/core';
import type { Client } from '@podmesh/sdk';
import { toCliError } from '../cli-error.ts';
import type { LocalMeaning } from '../home/image-program.ts';
import { sanitise } from '../render/sanitise.ts';
import { shortId } from '../render/short-id.ts';
import type { World } from '../world.ts';
import { isMeshReference, pinMeshImages } from './pin-mesh-images.ts';

/**
 * Writes down what every image name of the graph means now, so that a tag which is moved later does not change
 * the run. The person's own words stay beside it.
 */
export async function pinImages(
  world: World,
  mesh: { readonly client: Client; readonly url: string },
  graph: Graph,
): Promise<Graph> {
  const own = await world.home.daemon();
  const named = await pinMeshImages(mesh.client, graph, own?.registry);
  for (const line of named.problems) say(world, line);
  return await pinOthers(world, mesh, named.graph);
}

async function pinOthers(
  world: World,
  mesh: { readonly client: Client; readonly url: string },
  graph: Graph,
): Promise<Graph> {
  const references = unpinnedReferences(graph).filter((one) => !isMeshReference(one));
  if (references.length === 0) return graph;
  const peers = await mesh.client.peers.list();
  const daemon = await world.home.daemon();
  // A peer that has just come up is not in the directory yet; one of another mesh never will be.
  const isPeer = daemon?.nats === mesh.url || peers.some(({ peer }) => peer === daemon?.peer);
  const own = isPeer ? await ownMachine(world, daemon?.peer ?? '', references) : undefined;
  const pins = new Map<string, ImagePins>();
  for (const reference of references) {
    const pinning = pinReference(reference, peers.map(toHolder), own);
    for (const disagreement of pinning.disagreements) {
      say(world, disagreementText(reference, disagreement));
    }
    if (Object.keys(pinning.pins).length > 0) pins.set(reference, pinning.pins);
  }
  const unknown = references.filter((reference) => !pins.has(reference));
  for (const [reference, found] of await fetchHere(world, unknown)) pins.set(reference, found);
  for (const line of gapTexts({ graph, pins, peers })) say(world, line);
  return pinGraph(graph, pins);
}

/**
 * What this machine's Podman means by the references at this moment. Asked of a peer's own machine: what it told
 * the mesh is seconds old, and people build an image and run it in one breath.
 */
async function ownMachine(
  world: World,
  peer: string,
  references: readonly string[],
): Promise<ImageHolder | undefined> {
  try {
    return holderOf(peer, await world.images.resolve(references, false));
  } catch (error) {
    say(world, `could not ask this machine for its images: ${toCliError(error).message}`);
    return undefined;
  }
}

function holderOf(name: string, meanings: readonly LocalMeaning[]): ImageHolder {
  const images: Record<string, string[]> = {};
  let arch = '';
  for (const meaning of meanings) {
    if (meaning.kind === 'unresolved') continue;
    arch = meaning.arch;
    images[meaning.image] = [...(images[meaning.image] ?? []), meaning.reference];
  }
  return { name, arch, images };
}

/** What no peer has: pulled by this machine, or left to the peers with a warning. */
async function fetchHere(
  world: World,
  references: readonly string[],
): Promise<ReadonlyMap<string, ImagePins>> {
  const pins = new Map<string, ImagePins>();
  const isLocal = (reference: string): boolean => reference.startsWith('localhost/');
  for (const reference of references.filter(isLocal)) {
    say(world, unpinnedText(reference, 'no peer has it'));
  }
  for (const meaning of await pullHere(
    world,
    references.filter((one) => !isLocal(one)),
  )) {
    const { reference } = meaning;
    if (meaning.kind === 'resolved') pins.set(reference, { [meaning.arch]: meaning.image });
    else say(world, unpinnedText(reference, `no peer has it, and ${meaning.message}`));
  }
  return pins;
}

async function pullHere(
  world: World,
  references: readonly string[],
): Promise<readonly LocalMeaning[]> {
  if (references.length === 0) return [];
  try {
    return await world.images.resolve(references, (line) => say(world, line));
  } catch (error) {
    const message = `this machine cannot look for it: ${toCliError(error).message}`;
    return references.map((reference) => ({ kind: 'unresolved', reference, message }));
  }
}

interface Gaps {
  readonly graph: Graph;
  readonly pins: ReadonlyMap<string, ImagePins>;
  readonly peers: readonly PeerEntry[];
}

/** What an image means on some machines of the mesh and not on others, where its jobs may run too. */
function* gapTexts({ graph, pins, peers }: Gaps): Iterable<string> {
  for (const [reference, known] of pins) {
    const wanted = archesOf(graph, reference);
    const without = peers.filter(
      ({ machine: { arch } }) => known[arch] === undefined && wanted?.has(arch) !== false,
    );
    for (const arch of [...new Set(without.map(({ machine }) => machine.arch))].sort()) {
      const names = without.filter(({ machine }) => machine.arch === arch).map(({ peer }) => peer);
      yield gapText(reference, { arch, names, known });
    }
  }
}

/** Architectures that the jobs with this image ask for; undefined: one of them runs on any. */
function archesOf({ jobs }: Graph, reference: string): ReadonlySet<string> | undefined {
  const arches = new Set<string>();
  for (const { container, requirements } of jobs) {
    if (container.kind !== 'reference' || container.reference !== reference) continue;
    if (requirements.arch === undefined) return undefined;
    arches.add(requirements.arch);
  }
  return arches;
}

/** Words of registries and peers are in it. */
function say({ terminal }: World, line: string): void {
  terminal.err(`${sanitise(line)}\n`);
}

function toHolder({ peer, machine, images }: PeerEntry): ImageHolder {
  return { name: peer, arch: machine.arch, images };
}

function disagreementText(reference: string, { arch, meanings }: PinDisagreement): string {
  const all = meanings.map(({ image, holders }) => `${shortId(image)} on ${namesText(holders)}`);
  const [taken, ...others] = all;
  return (
    `${reference} is not the same image on all ${arch} peers: the run takes ${taken}; it is ` +
    `${others.join(', ')}. Peers without the first cannot run it: build or pull it there again`
  );
}

function unpinnedText(reference: string, why: string): string {
  return (
    `image ${reference} is not pinned: ${why.replace(/\.$/, '')}. Peers will look for it themselves, ` +
    'and the run fails with image-unavailable when none finds it'
  );
}

function gapText(
  reference: string,
  gap: { readonly arch: string; readonly names: readonly string[]; readonly known: ImagePins },
): string {
  const { arch, names, known } = gap;
  return (
    `image ${reference} is pinned for ${Object.keys(known).join(', ')} and not for ${arch}: no ${arch} peer ` +
    `(${namesText(names)}) has it. Each will look for it itself, and its attempt fails with image-unavailable ` +
    'or image-platform when it finds none: build or pull the image there and publish again, or say needs.arch'
  );
}

const NAMES_MAX = 5;

function namesText(names: readonly string[]): string {
  const more = names.length - NAMES_MAX;
  return `${names.slice(0, NAMES_MAX).join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
}
