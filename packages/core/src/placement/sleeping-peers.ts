import type { QuietTime } from '../owner/owner-policy.ts';
import type { PeerId } from '../words/ids.ts';
import type { PeerOffering } from './lane.ts';

/** A network card that can wake its machine, and the network in which that has to be asked for. */
export interface Link {
  /** Six pairs of hex digits, small, with colons. */
  readonly mac: string;
  /** Such as `192.168.1.0/24`. */
  readonly network: string;
}

/** A peer that said good night, and what it could do if it were woken. */
export interface SleepingPeer {
  readonly peer: PeerId;
  readonly hostname: string;
  /** RFC 3339 by its own clock; for people, decides nothing. */
  readonly since: string;
  readonly offering: PeerOffering;
  readonly links: readonly Link[];
  /** Why nobody may wake it, such as its owner's policy; absent where that is allowed. */
  readonly forbids?: string;
  /** Times of its day, in its time zone, at which it is left asleep. */
  readonly quiet: readonly QuietTime[];
  /** IANA name, such as `Europe/Paris`. */
  readonly timeZone: string;
  /** Calls since it did any work: how many, and who made the last; absent: none. */
  readonly calls?: { readonly count: number; readonly by: PeerId };
}

/** A sleeper as it was read; who changes it says which one it was. */
export interface NotedSleeper {
  readonly sleeper: SleepingPeer;
  readonly revision: number;
}

/** Peers that sleep, remembered for `SLEEPER_MS_MAX`, and no more than `SLEEPERS_MAX` of them. */
export interface SleepingPeers {
  note(sleeper: SleepingPeer): Promise<void>;
  /** Only where it still stands as it was read; false: somebody was faster, or it is awake. */
  replace(sleeper: SleepingPeer, revision: number): Promise<boolean>;
  /** It is back, or nobody wants it back. Harmless when it is not there. */
  forget(peer: PeerId): Promise<void>;
  /** Notes that cannot be read are left out. */
  list(): Promise<readonly NotedSleeper[]>;
}

/** Of a card: six pairs of hex digits, small, with colons, and not all of them zero. */
export const isMacAddress = (text: string): boolean =>
  /^([0-9a-f]{2}:){5}[0-9a-f]{2}$/.test(text) && text !== '00:00:00:00:00:00';

/** Links of the sleeper that lie in one of these networks: who is there can wake it. */
export function linksIn(
  { links }: Pick<SleepingPeer, 'links'>,
  networks: readonly string[],
): readonly Link[] {
  return links.filter(({ network }) => networks.includes(network));
}
