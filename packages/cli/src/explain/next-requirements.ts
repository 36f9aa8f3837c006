import {
  grownRequirements,
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
  const largest = Math.max(...peers.map(({ capacity }) => capacity.memoryBytes));
  return grownRequirements(asked, past, peers.length === 0 ? Number.MAX_SAFE_INTEGER : largest);
}
