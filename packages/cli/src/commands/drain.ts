import { setTimeout as pause } from 'node:timers/promises';
import { type DrainTold, type PeerId, type PeerOrder, peerId } from '@podmesh/core';
import type { Client } from '@podmesh/sdk';
import type { Invocation } from '../arguments/parse-command-line.ts';
import { parseDuration } from '../arguments/parse-duration.ts';
import { CliError } from '../cli-error.ts';
import { EXIT, type ExitCode } from '../exit-code.ts';
import { type Answer, openDaemonSocket } from '../home/daemon-socket.ts';
import { withClient } from '../mesh/open-client.ts';
import { countText } from '../render/amounts.ts';
import { printJson, printLines } from '../render/print.ts';
import { sanitise } from '../render/sanitise.ts';
import type { World } from '../world.ts';

const DEADLINE = '10m';
/** As long as daemons accept. */
const DEADLINE_MS_MAX = 7 * 24 * 60 * 60_000;
const LOOK_MS = 500;

/** A peer as it can be told to drain, over whatever way. */
interface DrainablePeer {
  readonly peer: string;
  /** Throws a `CliError` when it refuses. */
  tell(order: PeerOrder): Promise<void>;
  /** How far it is; undefined: it is not drained. Throws a `CliError` when it is gone. */
  look(): Promise<DrainTold | undefined>;
}

/** `podmesh drain [PEER]`: waits until nothing is in hand, unless detached. */
export async function drain(world: World, { operands, options }: Invocation): Promise<ExitCode> {
  const deadline = options.text('deadline') ?? DEADLINE;
  const deadlineMs = parseDuration('deadline', deadline);
  if (deadlineMs > DEADLINE_MS_MAX) {
    const advice = 'Give a week (7d) at most; drain it again then.';
    throw new CliError('arguments', `--deadline ${deadline} is too long`, { advice });
  }
  return withPeer(world, operands[0], options.text('nats'), async (target) => {
    await target.tell({ kind: 'drain', deadlineMs, by: world.user });
    const end = `what runs has ${deadline} to end, and is given back then`;
    world.terminal.err(`${target.peer} takes nothing more; ${end}\n`);
    const told = options.flag('detach') ? await target.look() : await follow(world, target);
    if (options.flag('json')) await printJson(world.terminal, { peer: target.peer, drain: told });
    else await printLines(world.terminal, [toldText(target.peer, told)]);
    if (told?.state !== 'drained') return options.flag('detach') ? EXIT.success : EXIT.failed;
    return told.unkept === 0 ? EXIT.success : EXIT.failed;
  });
}

/** `podmesh undrain [PEER]` */
export async function undrain(world: World, { operands, options }: Invocation): Promise<ExitCode> {
  return withPeer(world, operands[0], options.text('nats'), async ({ peer, tell }) => {
    await tell({ kind: 'undrain', by: world.user });
    if (options.flag('json')) await printJson(world.terminal, { peer });
    else await printLines(world.terminal, [`${peer} claims tasks again`]);
    return EXIT.success;
  });
}

async function withPeer<T>(
  world: World,
  named: string | undefined,
  nats: string | undefined,
  use: (peer: DrainablePeer) => Promise<T>,
): Promise<T> {
  if (named === undefined) return use(await ownPeer(world));
  return withClient(world, nats, async (client) => use(await peerOfMesh(client, named)));
}

/** Over its socket: that works while the mesh is away, too. */
async function ownPeer(world: World): Promise<DrainablePeer> {
  const socket = await openDaemonSocket(world);
  const { peer } = await socket.get('/v1/drain');
  return {
    peer: String(peer),
    tell: async ({ kind, ...body }) => void (await socket.post(`/v1/${kind}`, body)),
    look: async () => readTold(await socket.get('/v1/drain')),
  };
}

async function peerOfMesh(client: Client, named: string): Promise<DrainablePeer> {
  const peer = await findPeer(client, named);
  const { signal } = new AbortController();
  return {
    peer,
    tell: async (order) => {
      const answer = await client.orders.ask(peer, order, signal);
      if (answer.kind === 'done') return;
      const refused = answer.kind === 'refused' ? `refused: ${answer.message}` : 'gives no answer';
      throw new CliError('mesh', `${peer} ${sanitise(refused)}`, {
        advice: 'Is its version too old for this? On that machine: podmesh drain',
      });
    },
    look: async () => {
      const entry = await client.peers.find(peer);
      if (entry !== undefined) return entry.drain;
      throw new CliError('mesh', `${peer} left the mesh`, { advice: 'See: podmesh peers' });
    },
  };
}

/** Throws a `CliError` that names those who are there. */
async function findPeer(client: Client, named: string): Promise<PeerId> {
  const listed = (await client.peers.list()).map(({ peer }) => peer);
  if (listed.includes(named as PeerId)) return peerId(named);
  const there = listed.length === 0 ? 'No peer is there.' : `There are: ${listed.join(', ')}`;
  const message = `no peer is called ${JSON.stringify(named)}`;
  throw new CliError('arguments', message, { advice: there });
}

/** Until it is drained, somebody changes their mind, or Ctrl-C. */
async function follow(world: World, target: DrainablePeer): Promise<DrainTold | undefined> {
  const interrupt = new AbortController();
  const forget = world.onInterrupt(() => interrupt.abort());
  try {
    // The directory tells of an order a moment after it was given.
    let [told, hasBegun] = [await target.look(), false];
    while (!interrupt.signal.aborted && told?.state !== 'drained' && !(hasBegun && !told)) {
      await pause(LOOK_MS, undefined, { signal: interrupt.signal }).catch(() => undefined);
      hasBegun ||= told !== undefined;
      told = await target.look();
    }
    return told;
  } finally {
    forget();
  }
}

function readTold({ drain: told }: Answer): DrainTold | undefined {
  if (typeof told !== 'object' || told === null) return undefined;
  const { by, state, unkept } = told as Partial<DrainTold>;
  return {
    by: String(by),
    state: state === 'drained' ? state : 'draining',
    unkept: Number(unkept),
  };
}

function toldText(peer: string, told: DrainTold | undefined): string {
  if (told === undefined) return `${peer} is not drained`;
  if (told.state === 'draining') return `${peer} still drains; podmesh peers shows it`;
  if (told.unkept === 0)
    return `${peer} is drained; to let it claim again: podmesh undrain ${peer}`;
  const what = `outputs or logs of ${countText(told.unkept, 'task')} of unfinished runs`;
  return `${peer} is drained, but ${what} are on it alone: if it goes, outputs are made again, and logs are gone`;
}
