import {
  fits,
  type PeerEntry,
  type PeerId,
  type Requirements,
  type Shortfall,
  satisfies,
  shortfallText,
} from '@podmesh/core';

/** How one peer stands to a task. */
export interface PeerVerdict {
  readonly peer: PeerId;
  /** `free`: could start it now. `busy`: could, when less is running. `paused`: claims nothing. `unsuitable`: never. */
  readonly verdict: 'free' | 'busy' | 'paused' | 'unsuitable';
  /** Why it is paused, or what it lacks. */
  readonly because: readonly string[];
}

/** Peers by how near they are to running a task of these requirements; the nearest first. */
export function judgePeers(
  requirements: Requirements,
  peers: readonly PeerEntry[],
): readonly PeerVerdict[] {
  const judged = peers.map((entry) => {
    const shortfalls = satisfies(requirements, toOffering(entry));
    return { verdict: verdictOn(requirements, entry, shortfalls), gap: gapOf(shortfalls) };
  });
  const nearest = judged.sort(
    (a, b) =>
      ORDER.indexOf(a.verdict.verdict) - ORDER.indexOf(b.verdict.verdict) ||
      a.gap - b.gap ||
      (a.verdict.peer < b.verdict.peer ? -1 : 1),
  );
  return nearest.map(({ verdict }) => verdict);
}

const ORDER: readonly PeerVerdict['verdict'][] = ['free', 'busy', 'paused', 'unsuitable'];

function toOffering({ capacity, machine, labels, runtimes }: PeerEntry) {
  return { capacity, arch: machine.arch, labels, runtimes };
}

function verdictOn(
  requirements: Requirements,
  { peer, free, paused }: PeerEntry,
  shortfalls: readonly Shortfall[],
): PeerVerdict {
  if (shortfalls.length > 0) {
    return { peer, verdict: 'unsuitable', because: shortfalls.map(shortfallText) };
  }
  if (paused !== undefined) return { peer, verdict: 'paused', because: [paused] };
  return { peer, verdict: fits(requirements, free) ? 'free' : 'busy', because: [] };
}

/** What a peer either has or has not is farther away than any amount. */
const KIND_GAP = 1_000;

/** How much is missing: for amounts, how many times over; never less for more that is missing. */
function gapOf(shortfalls: readonly Shortfall[]): number {
  return shortfalls.reduce((gap, shortfall) => {
    const { kind } = shortfall;
    if (kind === 'arch' || kind === 'label' || kind === 'runtime') return gap + KIND_GAP;
    const times = shortfall.offered > 0 ? shortfall.needed / shortfall.offered : KIND_GAP;
    return gap + Math.min(times, KIND_GAP);
  }, 0);
}
