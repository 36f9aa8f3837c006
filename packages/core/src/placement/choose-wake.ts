import type { Requirements } from '../graph/graph.ts';
import type { PeerId } from '../words/ids.ts';
import { WAKE_CALLS_MAX, WAKE_PATIENCE_MS } from '../words/limits.ts';
import { fits, satisfies } from './lane.ts';
import { offeringOf, type PeerEntry } from './peer-entry.ts';
import { linksIn, type NotedSleeper } from './sleeping-peers.ts';

/** What one peer knows when it looks whether somebody should be woken. */
export interface WakeLook {
  readonly self: PeerId;
  /** In which it can send. */
  readonly networks: readonly string[];
  /** Of the directory; who stands there is awake. */
  readonly peers: readonly PeerEntry[];
  readonly sleepers: readonly NotedSleeper[];
  /** How long it has seen the sleeper's entry at this revision, by its own clock. */
  readonly unchangedMs: (sleeper: NotedSleeper) => number;
  /** Whether it is a time of the sleeper's day at which it is left alone. */
  readonly isQuiet: (sleeper: NotedSleeper) => boolean;
}

/**
 * The sleeper that this peer should call now, for a task that has waited too long; undefined: none. Others may come to
 * the same: whoever changes the sleeper's entry first sends. For one need one machine is called at a time, and others
 * after it when it does not come; nobody is called for what an awake peer has room for.
 */
export function chooseWake(look: WakeLook): NotedSleeper | undefined {
  const awake = new Set(look.peers.map(({ peer }) => peer));
  // Nor does a machine call itself: one that is about to sleep still looks, and would use up a call that nobody hears.
  const asleep = look.sleepers.filter(
    ({ sleeper: { peer } }) => !awake.has(peer) && peer !== look.self,
  );
  for (const need of look.peers.flatMap(({ wanted = [] }) => wanted)) {
    if (look.peers.some((peer) => hasRoom(need, peer))) continue;
    const able = asleep.filter((noted) => isAble(need, noted, look));
    if (able.some((noted) => isComing(noted, look))) continue;
    const mine = able.filter((noted) => isMyTurn(noted, look));
    const [next] = mine.sort(byCalls);
    if (next !== undefined) return next;
  }
  return undefined;
}

/** Whether the peer could begin such a task at this moment, as far as it tells. */
const hasRoom = (need: Requirements, entry: PeerEntry): boolean =>
  entry.paused === undefined &&
  entry.drain === undefined &&
  // It leaves something to others, perhaps this.
  entry.rations === undefined &&
  satisfies(need, offeringOf(entry)).length === 0 &&
  fits(need, entry.free);

function isAble(need: Requirements, noted: NotedSleeper, look: WakeLook): boolean {
  const { forbids, offering, calls } = noted.sleeper;
  if (forbids !== undefined || look.isQuiet(noted)) return false;
  return satisfies(need, offering).length === 0 && (calls?.count ?? 0) <= WAKE_CALLS_MAX;
}

/** It was called just now, and machines take their time. */
const isComing = (noted: NotedSleeper, look: WakeLook): boolean =>
  noted.sleeper.calls !== undefined && look.unchangedMs(noted) < WAKE_PATIENCE_MS;

/** After each call it is left alone for twice as long; others in its network come before who called it last. */
function isMyTurn(noted: NotedSleeper, { self, networks, peers, unchangedMs }: WakeLook): boolean {
  const { sleeper } = noted;
  if (linksIn(sleeper, networks).length === 0) return false;
  const { count, by } = sleeper.calls ?? { count: 0 };
  if (count === 0) return true;
  if (count >= WAKE_CALLS_MAX) return false;
  const others = peers.some(
    (entry) => entry.peer !== self && linksIn(sleeper, entry.networks ?? []).length > 0,
  );
  const restMs = WAKE_PATIENCE_MS * 2 ** (count - 1);
  return unchangedMs(noted) >= restMs + (by === self && others ? WAKE_PATIENCE_MS : 0);
}

const byCalls = ({ sleeper: a }: NotedSleeper, { sleeper: b }: NotedSleeper): number =>
  (a.calls?.count ?? 0) - (b.calls?.count ?? 0) || (a.peer < b.peer ? -1 : 1);
