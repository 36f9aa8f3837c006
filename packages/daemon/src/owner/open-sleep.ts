import { hostname } from 'node:os';
import type { PeerEntry } from '@podmesh/core';
import type { Mesh } from '@podmesh/jetstream';
import { systemClock } from '@podmesh/transfer';
import type { DaemonParts } from '../daemon-parts.ts';
import { linkSources, ownNetworks, wakingLinks } from '../machine/links.ts';
import type { Peer } from '../peer.ts';
import type { StartedParts } from '../started-parts.ts';
import type { DrainDesk } from './drain-desk.ts';
import { HearOrders } from './hear-orders.ts';
import { sendMagicPackets } from './magic-packet.ts';
import type { OwnerWatch } from './owner-watch.ts';
import { SleepDesk } from './sleep-desk.ts';
import { SleepWatch } from './sleep-watch.ts';
import type { SystemBus } from './system-bus.ts';
import { Waker } from './waker.ts';

export interface SleepParts {
  readonly mesh: Pick<Mesh, 'orders' | 'peers' | 'sleepers'>;
  readonly machine: Peer;
  readonly owner: OwnerWatch;
  readonly bus: SystemBus;
  readonly drains: DrainDesk;
  readonly uptimeMs: () => number;
}

/** For a heartbeat; read again for each. */
export function toldNetworks(): Pick<PeerEntry, 'networks'> {
  const networks = networksHere();
  return networks.length === 0 ? {} : { networks };
}

const networksHere = (): readonly string[] =>
  ownNetworks(linkSources(process.env)).map(({ network }) => network);

/** Sleep and waking, of this machine and of others in its networks; and where it is told to do something about it. */
export function openSleep(
  { peer, logger }: Pick<DaemonParts, 'peer' | 'logger'>,
  started: StartedParts,
  { mesh, machine, owner, bus, drains, uptimeMs }: SleepParts,
): void {
  const sources = linkSources(process.env);
  const common = { peer, clock: systemClock, logger, now: Date.now };
  const desk = new SleepDesk({
    ...common,
    machine,
    owner,
    sleepers: mesh.sleepers,
    links: () => wakingLinks(sources),
    hostname: hostname(),
    timeZone: Intl.DateTimeFormat().resolvedOptions().timeZone,
  });
  started.add('sleep desk', () => desk.stop());
  desk.start();
  const sleep = new SleepWatch({
    ...common,
    bus,
    uptimeMs,
    goodNight: () => desk.goodNight(),
    goodMorning: () => desk.goodMorning(),
    env: process.env,
  });
  started.add('sleep of the machine', () => sleep.stop());
  sleep.start();
  const waker = new Waker({
    ...common,
    peers: mesh.peers,
    sleepers: mesh.sleepers,
    networks: networksHere,
    send: (links) => sendMagicPackets(links, ownNetworks(sources), systemClock),
  });
  started.add('waking of others', () => waker.stop());
  waker.start();
  drains.open(machine, waker);
  const orders = new HearOrders({ ...common, orders: mesh.orders, obey: drains.obey });
  started.add('orders', () => orders.stop());
  orders.start();
}
