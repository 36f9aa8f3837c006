import { readdir, readFile } from 'node:fs/promises';
import { type NetworkInterfaceInfo, networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { isMacAddress, type Link, SLEEPER_LINKS_MAX } from '@podmesh/core';

/** Where this machine is in a network: from there others in it are woken. */
export interface OwnNetwork {
  /** Such as `192.168.1.0/24`. */
  readonly network: string;
  readonly address: string;
  readonly broadcast: string;
}

/** What is read of the machine; tests have one of their own. */
export interface LinkSources {
  readonly interfaces: () => NodeJS.Dict<NetworkInterfaceInfo[]>;
  /** `/sys/class/net` */
  readonly sysfs: string;
  /** Names that count as cards of this machine, whatever the kernel tells of them. */
  readonly cards: readonly string[];
}

/** More are of no use, and each heartbeat carries them. */
const NETWORKS_MAX = 8;
/** Between containers or virtual machines of one host: nobody who sleeps is there. */
const INNER = /^(docker|podman|cni|veth|virbr|lxc|br-[0-9a-f]{12})/;
/** A network with an address for broadcasts, and others to hear them. */
const PREFIX_MAX = 30;

/** `PODMESH_PRETEND_CARDS`: interfaces that count as cards, where a test has none of metal. */
export const linkSources = (env: NodeJS.ProcessEnv): LinkSources => ({
  interfaces: networkInterfaces,
  sysfs: '/sys/class/net',
  cards: env.PODMESH_PRETEND_CARDS?.split(',').filter(Boolean) ?? [],
});

/** All networks of this machine in which somebody might sleep. */
export function ownNetworks({ interfaces }: LinkSources): readonly OwnNetwork[] {
  const found = new Map<string, OwnNetwork>();
  for (const [name, addresses = []] of Object.entries(interfaces())) {
    if (INNER.test(name)) continue;
    for (const place of addresses.flatMap(placeOf))
      if (!found.has(place.network)) found.set(place.network, place);
  }
  return [...found.values()].slice(0, NETWORKS_MAX);
}

/**
 * Cards by which this machine can be woken: wired ones, behind bridges, bonds and VLANs, too, and wireless ones that
 * the kernel lets wake it. Whether a wired one does is the firmware's business, which nobody can ask without root.
 */
export async function wakingLinks(sources: LinkSources): Promise<readonly Link[]> {
  const links: Link[] = [];
  for (const [name, addresses = []] of Object.entries(sources.interfaces())) {
    const places = addresses.flatMap(placeOf);
    if (places.length === 0) continue;
    for (const card of await cardsBehind(name, sources)) {
      const mac = card === name ? addresses[0]?.mac : await macOf(card, sources);
      if (mac === undefined || !isMacAddress(mac)) continue;
      for (const { network } of places) links.push({ mac, network });
    }
  }
  return links.slice(0, SLEEPER_LINKS_MAX);
}

/** Such as of `10.1.2.3` in `10.1.0.0/16`; nothing of loopback, IPv6 and lines between two. */
function placeOf({ family, internal, address, cidr }: NetworkInterfaceInfo): OwnNetwork[] {
  const prefix = Number(cidr?.split('/')[1]);
  if (internal || family !== 'IPv4' || !(prefix > 0 && prefix <= PREFIX_MAX)) return [];
  const own = address.split('.').reduce((number, octet) => number * 256 + Number(octet), 0);
  const size = 2 ** (32 - prefix);
  const first = own - (own % size);
  return [{ network: `${dotted(first)}/${prefix}`, address, broadcast: dotted(first + size - 1) }];
}

const dotted = (number: number): string =>
  [24, 16, 8, 0].map((shift) => Math.floor(number / 2 ** shift) % 256).join('.');

/** The interface itself, or those of metal that carry it; none where there are none. */
async function cardsBehind(name: string, { sysfs, cards }: LinkSources): Promise<string[]> {
  if (cards.includes(name)) return [name];
  const entries = await namesIn(join(sysfs, name));
  if (entries.includes('device')) return (await canWake(name, entries, sysfs)) ? [name] : [];
  const lower = entries.flatMap((entry) => (entry.startsWith('lower_') ? [entry.slice(6)] : []));
  const behind: string[] = [];
  for (const one of lower) {
    const own = await namesIn(join(sysfs, one));
    if (own.includes('device') && (await canWake(one, own, sysfs))) behind.push(one);
  }
  return behind;
}

async function canWake(name: string, entries: readonly string[], sysfs: string): Promise<boolean> {
  const isWireless = entries.includes('wireless') || entries.includes('phy80211');
  if (!isWireless) return true;
  const told = await readFile(join(sysfs, name, 'device', 'power', 'wakeup'), 'utf8').catch(
    () => '',
  );
  return told.trim() === 'enabled';
}

async function macOf(name: string, { sysfs }: LinkSources): Promise<string | undefined> {
  const told = await readFile(join(sysfs, name, 'address'), 'utf8').catch(() => undefined);
  return told?.trim().toLowerCase();
}

const namesIn = (folder: string): Promise<string[]> => readdir(folder).catch(() => []);
