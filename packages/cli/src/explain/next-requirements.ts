import {
  grownRequirements,
  largestMemoryBytes,
  offeringOf,
  type PastAttempt,
  type PeerEntry,
  type Requirements,
} from '@podmesh/core';

/** What the next attempt of a task asks for, among these peers; by the rule of the driver. */
export function nextRequirements(
  asked: Requirements,
  past: readonly PastAttempt[],
  peers: readonly PeerEntry[],
): Requirements {
  // Nobody is there, so nobody is known to be too small.
  const largest =
    peers.length === 0 ? Number.MAX_SAFE_INTEGER : largestMemoryBytes(asked, peers.map(offeringOf));
  return grownRequirements(asked, past, largest);
}
