import { setTimeout as pause } from 'node:timers/promises';
import { linksIn, type PeerEntry, type PeerId, type SleepingPeer } from '@podmesh/core';
import type { Client } from '@podmesh/sdk';
import type { Invocation } from '../arguments/parse-command-line.ts';
import { parseDuration } from '../arguments/parse-duration.ts';
import { CliError } from '../cli-error.ts';
import { EXIT, type ExitCode } from '../exit-code.ts';
import { withClient } from '../mesh/open-client.ts';
import { untilRead } from '../mesh/read-mesh.ts';
import { printJson, printLines } from '../render/print.ts';
import { sanitise } from '../render/sanitise.ts';
import type { World } from '../world.ts';

const TIMEOUT = '3m';
const LOOK_MS = 500;
/** A machine that has not come by then is called once more, by another peer if there is one. */
const AGAIN_MS = 30_000;

/** What became of one sleeper. */
interface Woken {
  readonly peer: PeerId;
  /** `called`: nobody waited for it. `asleep`: it was called, and did not come. */
  readonly state: 'awake' | 'called' | 'asleep' | 'refused';
  /** Who sent the magic packet. */
  readonly by?: readonly PeerId[];
  /** Why it was not called. */
  readonly reason?: string;
}

interface Waking {
  readonly client: Client;
  readonly by: string;
  /** Undefined: nobody waits. */
  readonly timeoutMs: number | undefined;
  readonly signal: AbortSignal;
}

/** `podmesh wake PEER...`: has a peer of the same network send the magic packet, and waits until the machine is there. */
export async function wake(world: World, { operands, options }: Invocation): Promise<ExitCode> {
  const timeout = options.text('timeout') ?? TIMEOUT;
  const timeoutMs = parseDuration('timeout', timeout);
  return withClient(world, options.text('nats'), async (client) => {
    const targets = await findTargets(world, client, operands);
    const interrupt = new AbortController();
    const forget = world.onInterrupt(() => interrupt.abort());
    const waking: Waking = {
      client,
      by: world.user,
      timeoutMs: options.flag('detach') ? undefined : timeoutMs,
      signal: interrupt.signal,
    };
    const woken = await Promise.all(targets.map((one) => wakeOne(one, waking))).finally(forget);
    if (options.flag('json')) await printJson(world.terminal, woken);
    else
      await printLines(
        world.terminal,
        woken.flatMap((one) => wokenText(one, timeout)),
      );
    const isDone = woken.every(({ state }) => state === 'awake' || state === 'called');
    return isDone ? EXIT.success : EXIT.failed;
  });
}

type Target = { readonly peer: PeerId; readonly sleeper?: SleepingPeer };

/** By the peer's name or that of its machine; throws a `CliError` that names those who sleep. */
async function findTargets(
  world: World,
  client: Client,
  names: readonly string[],
): Promise<readonly Target[]> {
  const [noted, peers] = await untilRead(world, () =>
    Promise.all([client.sleepers.list(), client.peers.list()]),
  );
  const sleepers = noted.map(({ sleeper }) => sleeper);
  return [...new Set(names)].map((name) => {
    const awake = peers.find(({ peer, machine }) => peer === name || machine.hostname === name);
    if (awake !== undefined) return { peer: awake.peer };
    const sleeper = sleepers.find(({ peer, hostname }) => peer === name || hostname === name);
    if (sleeper !== undefined) return { peer: sleeper.peer, sleeper };
    const listed = sleepers.map(({ peer }) => peer).join(', ');
    throw new CliError('arguments', `no peer that sleeps is called ${JSON.stringify(name)}`, {
      advice: listed
        ? `Asleep are: ${listed}`
        : 'Nobody said that it sleeps; a machine that was switched off is woken by hand.',
    });
  });
}

async function wakeOne({ peer, sleeper }: Target, waking: Waking): Promise<Woken> {
  if (sleeper === undefined) return { peer, state: 'awake' };
  const callers = (await waking.client.peers.list()).filter(
    ({ networks = [] }) => linksIn(sleeper, networks).length > 0,
  );
  const reason = reasonAgainst(sleeper, callers);
  if (reason !== undefined) return { peer, state: 'refused', reason };
  const by: PeerId[] = [];
  const endMs = performance.now() + (waking.timeoutMs ?? 0);
  for (let turn = 0; turn === 0 || performance.now() < endMs; turn += 1) {
    const called = await callFrom(callers, turn, { peer, waking });
    if (called.kind === 'refused') return { peer, state: 'refused', reason: called.reason };
    by.push(called.by);
    if (waking.timeoutMs === undefined) return { peer, state: 'called', by };
    const untilMs = Math.min(endMs, performance.now() + AGAIN_MS);
    if (await untilThere(peer, untilMs, waking))
      return { peer, state: 'awake', by: [...new Set(by)] };
    if (waking.signal.aborted) break;
  }
  return { peer, state: 'asleep', by: [...new Set(by)] };
}

function reasonAgainst(sleeper: SleepingPeer, callers: readonly PeerEntry[]): string | undefined {
  const { forbids, links } = sleeper;
  if (forbids !== undefined) return `nobody may wake it: ${forbids}`;
  if (links.length === 0)
    return 'it has no wired network card, and no wireless one that may wake it';
  const networks = [...new Set(links.map(({ network }) => network))].join(', ');
  if (callers.length === 0) {
    return `no awake peer is in its network (${networks}); a magic packet goes no farther`;
  }
  return undefined;
}

/** The first that does it, beginning with another one each turn. */
async function callFrom(
  callers: readonly PeerEntry[],
  turn: number,
  { peer: sleeper, waking }: { readonly peer: PeerId; readonly waking: Waking },
) {
  const { client, by } = waking;
  // An answer takes seconds at most: Ctrl-C ends the wait for the machine.
  const { signal } = new AbortController();
  let reason = '';
  for (let index = 0; index < callers.length; index += 1) {
    const caller = callers[(turn + index) % callers.length]?.peer as PeerId;
    const answer = await client.orders.ask(caller, { kind: 'wake', sleeper, by }, signal);
    if (answer.kind === 'done') return { kind: 'done', by: caller } as const;
    const said = answer.kind === 'refused' ? answer.message : 'it gives no answer';
    reason = `${caller}: ${said}`;
  }
  return { kind: 'refused', reason } as const;
}

async function untilThere(
  peer: PeerId,
  untilMs: number,
  { client, signal }: Waking,
): Promise<boolean> {
  while (!signal.aborted) {
    if ((await client.peers.find(peer)) !== undefined) return true;
    if (performance.now() >= untilMs) return false;
    await pause(LOOK_MS, undefined, { signal }).catch(() => undefined);
  }
  return false;
}

function wokenText({ peer, state, by = [], reason = '' }: Woken, timeout: string): string[] {
  switch (state) {
    case 'awake':
      return [
        by.length === 0 ? `${peer} is awake` : `${peer} is awake; ${by.join(', ')} called it`,
      ];
    case 'called':
      return [`${by.join(', ')} called ${peer}; podmesh peers shows when it is there`];
    case 'refused':
      return [`${peer} was not called: ${sanitise(reason)}`];
    default:
      return [
        `${peer} was called by ${by.join(', ')}, and did not come within ${timeout}. On that machine, check that`,
        '  - it sleeps and has power: one that was switched off, or is without mains, hears nothing;',
        '  - its network cable is plugged in (the lamp at its socket is on while it sleeps);',
        '  - its BIOS or UEFI lets it ("Wake on LAN", "Power on by PCI-E" on; "ErP", "Deep sleep" off);',
        '  - Linux does: ethtool CARD shows "Wake-on: g"; if not: sudo ethtool -s CARD wol g',
      ];
  }
}
