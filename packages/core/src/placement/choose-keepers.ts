import type { Sha256 } from '../words/digest.ts';
import type { ArtifactId, PeerId } from '../words/ids.ts';
import type { PeerEntry } from './peer-entry.ts';

/** What matters of a peer that might keep outputs for others. */
export interface KeeperCandidate {
  readonly peer: PeerId;
  /** The machine, where it is known: two peers of one user on one machine share its disk. */
  readonly host?: string;
  /** What it would give to others; absent: it keeps nothing for others. */
  readonly freeBytes?: number;
  readonly roles?: readonly ('store' | 'anchor')[];
}

/** Peers as they tell of themselves; one that is about to go gets nothing more to keep. */
export const keeperCandidates = (entries: readonly PeerEntry[]): readonly KeeperCandidate[] =>
  entries.map(({ peer, keeps, drain }) => ({ peer, ...(drain === undefined ? keeps : {}) }));

export interface KeepNeed {
  /** The artifact, or the first of several that belong together. */
  readonly artifact: ArtifactId;
  readonly bytes: number;
  /** How many peers should have it altogether. */
  readonly copies: number;
  /** Peers that have all of it. */
  readonly holders: readonly PeerId[];
}

export interface KeeperChoice {
  /** Whom to ask, the best first; as many as copies are short, or fewer. */
  readonly keepers: readonly PeerId[];
  /** Why these and the holders will not be as many as wanted, on different machines. */
  readonly short?: string;
}

/**
 * Who should keep bytes, so that one machine may go: peers on other machines than the holders' first, of
 * these who is there for it (`store`), then an anchor, then anybody. Among equals the hash of
 * artifact and peer decides: the same for every driver, and spread over all peers.
 */
export function chooseKeepers(
  peers: readonly KeeperCandidate[],
  { artifact, bytes, copies, holders }: KeepNeed,
  sha256: Sha256,
): KeeperChoice {
  const hosts = new Set(peers.filter(({ peer }) => holders.includes(peer)).map(hostOf));
  const others = peers.filter(({ peer }) => !holders.includes(peer));
  const able = others
    .filter(({ freeBytes }) => freeBytes !== undefined && freeBytes > bytes)
    .map((candidate) => ({ candidate, tie: sha256(`${artifact} ${candidate.peer}`) }))
    .sort((a, b) => rank(a.candidate) - rank(b.candidate) || compareText(a.tie, b.tie))
    .map(({ candidate }) => candidate);
  const missing = Math.max(0, copies - holders.length);
  const chosen: KeeperCandidate[] = [];
  const sameMachine: KeeperCandidate[] = [];
  for (const candidate of able) {
    if (hosts.has(hostOf(candidate))) sameMachine.push(candidate);
    else if (chosen.length < missing) {
      chosen.push(candidate);
      hosts.add(hostOf(candidate));
    }
  }
  // Two copies on one disk are better than none to spare: another disk may be all that a peer has.
  chosen.push(...sameMachine.slice(0, missing - chosen.length));
  const keepers = chosen.map(({ peer }) => peer);
  const short = shortness({ others, keepers: keepers.length, missing, hosts: hosts.size, copies });
  return short === undefined ? { keepers } : { keepers, short };
}

/** A peer that does not tell its machine is taken for one of its own. */
function hostOf({ peer, host }: KeeperCandidate): string {
  return host ?? `peer ${peer}`;
}

function rank({ roles = [] }: KeeperCandidate): number {
  if (roles.includes('store')) return 0;
  return roles.includes('anchor') ? 1 : 2;
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function shortness(found: {
  readonly others: readonly KeeperCandidate[];
  readonly keepers: number;
  readonly missing: number;
  readonly hosts: number;
  readonly copies: number;
}): string | undefined {
  const { others, keepers, missing, hosts, copies } = found;
  if (keepers < missing) {
    if (others.length === 0) return 'no other peer is in the mesh';
    return `${others.length === 1 ? '1 other peer is' : `${others.length} other peers are`} in the mesh, and ${keepers} of them ${keepers === 1 ? 'has' : 'have'} room for it`;
  }
  if (missing > 0 && copies > 1 && hosts === 1) return 'all copies are on one machine';
  return undefined;
}
