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
  /** RFC 3339; for people, decides nothing. */
  readonly since: string;
  readonly offering: PeerOffering;
  readonly links: readonly Link[];
}

/** Peers that sleep, remembered for `SLEEPER_MS_MAX`, and no more than `SLEEPERS_MAX` of them. */
export interface SleepingPeers {
  note(sleeper: SleepingPeer): Promise<void>;
  /** It is back, or nobody wants it back. Harmless when it is not there. */
  forget(peer: PeerId): Promise<void>;
  list(): Promise<readonly SleepingPeer[]>;
}

/** Networks in which both are: who is in one of them can wake the other. */
export function sharedLinks(sleeper: readonly Link[], awake: readonly Link[]): readonly Link[] {
  const networks = new Set(awake.map(({ network }) => network));
  return sleeper.filter(({ network }) => networks.has(network));
}
