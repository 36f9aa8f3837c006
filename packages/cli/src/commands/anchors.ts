import {
  type AnchorRecord,
  candidateOf,
  type PeerEntry,
  type PeerId,
  peerId,
  planAnchors,
  steadiestBeside,
} from '@podmesh/core';
import type { Client } from '@podmesh/sdk';
import type { Invocation } from '../arguments/parse-command-line.ts';
import { CliError } from '../cli-error.ts';
import { EXIT, type ExitCode } from '../exit-code.ts';
import { ANCHORS_PATH, untilAnchorsChanged } from '../home/anchors-change.ts';
import { openDaemonSocket } from '../home/daemon-socket.ts';
import { withClient } from '../mesh/open-client.ts';
import { untilRead } from '../mesh/read-mesh.ts';
import { printJson, printLines } from '../render/print.ts';
import type { World } from '../world.ts';
import { rescueAnchors } from './rescue-anchors.ts';
import { showAnchors } from './show-anchors.ts';

/** `podmesh anchors [set PEER... | replace GONE NEW | retire PEER [NEW] | rescue --lost PEER,PEER]`. */
export async function anchors(world: World, { operands, options }: Invocation): Promise<ExitCode> {
  const [action, ...names] = operands;
  if (action !== undefined && !isAction(action))
    throw new CliError('arguments', `"podmesh anchors" knows no ${JSON.stringify(action)}`, {
      advice:
        'Use: podmesh anchors, or with set PEER PEER PEER, replace GONE NEW, retire PEER [NEW], or rescue --lost PEER,PEER',
    });
  const lost = options.text('lost');
  if (action === 'rescue' || lost !== undefined)
    return rescueAnchors(world, { action, names, lost, json: options.flag('json') });
  const given = options.text('nats');
  const json = options.flag('json');
  if (action === undefined) return showAnchors(world, given, json);
  return withClient(world, given, async (client) => {
    const record = await untilRead(world, () => client.anchors.read());
    const wanted = record === undefined ? names : await wantedBy(client, record, { action, names });
    return change(world, client, { record, names: wanted, json });
  });
}

const ACTIONS = ['set', 'replace', 'retire', 'rescue'] as const;
type Action = (typeof ACTIONS)[number];
const isAction = (word: string): word is Action => ACTIONS.some((action) => action === word);

/** All anchors as they should be: who goes has one in its place, the steadiest if nobody is named. */
async function wantedBy(
  client: Client,
  record: AnchorRecord,
  { action, names }: { readonly action: Action; readonly names: readonly string[] },
): Promise<readonly string[]> {
  if (action === 'set') return names;
  const now = record.anchors.map(({ peer }) => String(peer));
  const [goes, named, ...more] = names;
  if (goes === undefined || more.length > 0 || (action === 'replace' && named === undefined))
    throw new CliError('arguments', `"podmesh anchors ${action}" takes other words`, {
      advice: 'Use: podmesh anchors replace GONE NEW, or podmesh anchors retire PEER [NEW]',
    });
  if (!now.includes(goes))
    throw new CliError('arguments', `${goes} is no anchor`, {
      advice: `Those that are: ${now.join(', ')}`,
    });
  const comes = named ?? (await steadiest(client, record, goes));
  return [...now.filter((name) => name !== goes), comes];
}

async function steadiest(client: Client, record: AnchorRecord, goes: string): Promise<string> {
  const now = record.anchors.map(({ peer }) => peer);
  const others = (await client.peers.list()).filter(({ peer }) => peer !== goes);
  const candidates = others.map((entry) => candidateOf(entry, now));
  const comes = steadiestBeside(candidates, now);
  if (comes !== undefined) return comes;
  throw new CliError('arguments', `nobody is steady enough to take the place of ${goes}`, {
    advice: 'Name one: podmesh anchors retire PEER NEW. Who would be, and why not: podmesh anchors',
  });
}

interface Change {
  readonly record: AnchorRecord | undefined;
  readonly names: readonly string[];
  readonly json: boolean;
}

/** Asks the daemon of this home, which has the keys or says where they are. */
async function change(world: World, client: Client, { record, names, json }: Change) {
  if (record === undefined)
    throw new CliError('arguments', 'the servers of this mesh are looked after by people', {
      advice:
        'podmesh changes only servers that its own daemons started (podmesh up without --nats).',
    });
  const peers = await client.peers.list();
  const wanted = knownPeers(peers, record, names);
  const plan = planAnchors(record, wanted);
  if (!plan.ok) throw new CliError('arguments', plan.error, { advice: 'See: podmesh anchors' });
  if (plan.value.kind === 'nothing') {
    world.terminal.err('these are the anchors already; nothing to do\n');
    return EXIT.success;
  }
  for (const warning of batteryWarnings(peers, record, wanted)) world.terminal.err(`${warning}\n`);
  const socket = await openDaemonSocket(world);
  const begun = await socket.post(ANCHORS_PATH, { anchors: wanted });
  if (begun.growsAgain === true && wanted.length < record.anchors.length)
    world.terminal.err(
      'podmesh up --auto-anchors makes them more again as soon as others are steady; start it without, to keep them\n',
    );
  const told = await untilAnchorsChanged(world, socket, begun);
  if (json) await printJson(world.terminal, { anchors: wanted, told });
  else await printLines(world.terminal, [`anchors: ${wanted.join(', ')} (${told})`]);
  return EXIT.success;
}

/** An anchor that stays need not be there; who comes does. */
function knownPeers(
  entries: readonly PeerEntry[],
  { anchors: now }: AnchorRecord,
  names: readonly string[],
): readonly PeerId[] {
  const peers = entries.map(({ peer }) => String(peer));
  const known = [...peers, ...now.map(({ peer }) => String(peer))];
  const unknown = names.find((name) => !known.includes(name));
  if (unknown !== undefined)
    throw new CliError('arguments', `no peer ${JSON.stringify(unknown)} is there`, {
      advice: `Those that are: ${peers.join(', ')}`,
    });
  return names.map(peerId);
}

/** A laptop is none by itself; whoever names one is told what that means. */
function batteryWarnings(
  peers: readonly PeerEntry[],
  { anchors: now }: AnchorRecord,
  wanted: readonly PeerId[],
): readonly string[] {
  return peers
    .filter(({ peer, hardware }) => hardware.battery && wanted.includes(peer))
    .filter(({ peer }) => !now.some((anchor) => anchor.peer === peer))
    .map(
      ({ peer }) =>
        `${peer} has a battery, and is taken because you say so: each time it is closed or carried away, the mesh has lost an anchor`,
    );
}
