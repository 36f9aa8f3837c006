import type { PeerId } from '../words/ids.ts';

/** What speaks for or against a peer as an anchor. */
export interface AnchorCandidate {
  readonly peer: PeerId;
  /** The same for all peers of one machine: two anchors on it are lost together. */
  readonly host: string;
  readonly battery: boolean;
  /** Whether it could run a nats-server; the version of the one it would take. */
  readonly serverVersion?: string;
  /** How long the machine has been up; absent of peers of a version that did not tell. */
  readonly uptimeSeconds?: number;
  readonly freeDiskBytes: number;
  readonly isAnchor: boolean;
}

/** Why a peer is proposed, or not. */
export interface AnchorOpinion {
  readonly peer: PeerId;
  readonly chosen: boolean;
  /** Whether nothing speaks against it, chosen or not. */
  readonly isSuitable: boolean;
  readonly reason: string;
}

export interface AnchorProposal {
  readonly anchors: readonly PeerId[];
  /** One for each candidate, the best first. */
  readonly opinions: readonly AnchorOpinion[];
}

/** Less room than this is full before somebody looks. */
export const ANCHOR_DISK_BYTES_MIN = 2 * 2 ** 30;
/** A machine that was switched on just now may be switched off as soon. */
export const ANCHOR_UPTIME_SECONDS_MIN = 60 * 60;
/** Steady machines for five anchors: with fewer, five only cost speed. */
const STEADY_FOR_FIVE = 7;

/**
 * The steadiest machines, as many as make sense: one, three, or five of many. Anchors stay what they are unless they may
 * not be: each change costs copies of everything. A machine with a battery is none, unless there is no other and it
 * is one already.
 */
export function proposeAnchors(candidates: readonly AnchorCandidate[]): AnchorProposal {
  const ranked = [...candidates].sort(bySteadiness);
  const steady: AnchorCandidate[] = [];
  const reasons = new Map<PeerId, string>();
  for (const candidate of ranked) {
    const against = objection(candidate) ?? shared(candidate, steady);
    if (against === undefined) steady.push(candidate);
    else reasons.set(candidate.peer, against);
  }
  const chosen = chooseFrom(steady, ranked);
  const opinions = ranked.map((candidate) => {
    const { peer } = candidate;
    const isChosen = chosen.includes(peer);
    const against = reasons.get(peer);
    const isSuitable = against === undefined;
    if (isChosen) return { peer, chosen: true, isSuitable, reason: against ?? praise(candidate) };
    const enough = `${praise(candidate)}; ${chosen.length === 1 ? 'three steady machines are needed for more than one anchor' : `${chosen.length} are enough`}`;
    return { peer, chosen: false, isSuitable, reason: against ?? enough };
  });
  return { anchors: chosen, opinions };
}

/** Who could take the place of one that goes: the steadiest that is suitable, and none of these. */
export function steadiestBeside(
  candidates: readonly AnchorCandidate[],
  taken: readonly PeerId[],
): PeerId | undefined {
  // The steadiest first; how many of them would be taken together is another question.
  const { opinions } = proposeAnchors(candidates);
  return opinions.find(({ peer, isSuitable }) => isSuitable && !taken.includes(peer))?.peer;
}

function chooseFrom(
  steady: readonly AnchorCandidate[],
  all: readonly AnchorCandidate[],
): readonly PeerId[] {
  const count = steady.length >= STEADY_FOR_FIVE ? 5 : steady.length >= 3 ? 3 : 1;
  if (count > 1) return steady.slice(0, count).map(({ peer }) => peer);
  // One stays where it is: moving the only copy gains nothing.
  const only = all.find(({ isAnchor }) => isAnchor) ?? steady[0] ?? all[0];
  return only === undefined ? [] : [only.peer];
}

function objection(candidate: AnchorCandidate): string | undefined {
  const { battery, serverVersion, uptimeSeconds, freeDiskBytes } = candidate;
  if (battery) return 'has a battery: laptops are carried away and closed';
  if (serverVersion === undefined) return 'has no nats-server that is new enough';
  if (freeDiskBytes < ANCHOR_DISK_BYTES_MIN)
    return `has ${gibibytes(freeDiskBytes)} of free disk; an anchor wants ${gibibytes(ANCHOR_DISK_BYTES_MIN)}`;
  if (uptimeSeconds === undefined)
    return 'does not tell how long it has been up: upgrade podmesh there';
  if (uptimeSeconds < ANCHOR_UPTIME_SECONDS_MIN && !candidate.isAnchor)
    return `has been up for ${duration(uptimeSeconds)} only; an anchor wants ${duration(ANCHOR_UPTIME_SECONDS_MIN)}`;
  return undefined;
}

function shared({ host }: AnchorCandidate, steady: readonly AnchorCandidate[]): string | undefined {
  const other = steady.find((one) => one.host === host);
  return other === undefined
    ? undefined
    : `is on the same machine as ${other.peer}: both would be lost at once`;
}

function bySteadiness(a: AnchorCandidate, b: AnchorCandidate): number {
  return (
    Number(b.isAnchor) - Number(a.isAnchor) ||
    (b.uptimeSeconds ?? 0) - (a.uptimeSeconds ?? 0) ||
    b.freeDiskBytes - a.freeDiskBytes ||
    (a.peer < b.peer ? -1 : 1)
  );
}

function praise({ isAnchor, uptimeSeconds, freeDiskBytes }: AnchorCandidate): string {
  const is = isAnchor ? 'is an anchor; ' : '';
  return `${is}up for ${duration(uptimeSeconds ?? 0)}, no battery, ${gibibytes(freeDiskBytes)} of free disk`;
}

const gibibytes = (bytes: number): string => `${(bytes / 2 ** 30).toFixed(1)} GiB`;

function duration(seconds: number): string {
  if (seconds < 3_600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 2 * 86_400) return `${Math.floor(seconds / 3_600)} h`;
  return `${Math.floor(seconds / 86_400)} days`;
}
