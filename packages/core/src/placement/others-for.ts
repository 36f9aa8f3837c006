import type { Offer } from '../run/offer.ts';
import type { PeerId } from '../words/ids.ts';
import { fits, satisfies } from './lane.ts';
import { offeringOf, type PeerEntry } from './peer-entry.ts';

/**
 * Who else could make the attempt, as far as a peer cares on which the task failed before: nobody,
 * peers that have no room at this moment, or one that could begin it now.
 */
export function othersFor(
  { avoid, requirements }: Pick<Offer, 'avoid' | 'requirements'>,
  self: PeerId,
  peers: readonly PeerEntry[],
): 'none' | 'busy' | 'free' {
  if (!avoid.includes(self)) return 'none';
  const able = peers.filter(
    (entry) =>
      !avoid.includes(entry.peer) &&
      entry.paused === undefined &&
      satisfies(requirements, offeringOf(entry)).length === 0,
  );
  if (able.length === 0) return 'none';
  return able.some(({ free }) => fits(requirements, free)) ? 'free' : 'busy';
}
