import type { Offer } from '../run/offer.ts';
import type { PeerId } from '../words/ids.ts';
import { satisfies } from './lane.ts';
import type { PeerEntry } from './peer-entry.ts';

/** A peer on which an attempt of the task failed leaves it to others, while there are any that could. */
export function isLeftToOthers(
  { avoid, requirements }: Pick<Offer, 'avoid' | 'requirements'>,
  self: PeerId,
  peers: readonly PeerEntry[],
): boolean {
  if (!avoid.includes(self)) return false;
  return peers.some(
    ({ peer, paused, capacity, machine, labels, runtimes }) =>
      !avoid.includes(peer) &&
      paused === undefined &&
      satisfies(requirements, { capacity, arch: machine.arch, labels, runtimes }).length === 0,
  );
}
