import type { PeerId } from '../words/ids.ts';
import type { AnchorRecord } from './anchor-record.ts';
import { type AnchorCandidate, proposeAnchors, steadiestBeside } from './propose-anchors.ts';

/** What whoever has the keys sees of the mesh at one look. */
export interface AnchorsSeen {
  readonly record: AnchorRecord;
  /** Who has the keys: it stays an anchor. */
  readonly self: PeerId;
  /** The peers that are there. */
  readonly candidates: readonly AnchorCandidate[];
  /** Anchors whose server does not answer. */
  readonly silent: readonly PeerId[];
}

/** How long what was seen has been so, by a clock that only goes forward; milliseconds. */
export interface AutoAnchorsMemory {
  readonly lookedMs: number;
  /** Of the record that it was seen with. */
  readonly generation: number;
  readonly thereSinceMs: ReadonlyMap<PeerId, number>;
  readonly silentSinceMs: ReadonlyMap<PeerId, number>;
}

export interface AutoAnchorsPatience {
  /** For so long a peer is there at every look before it is made an anchor. */
  readonly steadyMs: number;
  /** For so long an anchor answers at none before another takes its place. */
  readonly silentMs: number;
  /** After a longer time without a look nothing is known of how things have been. */
  readonly gapMs: number;
}

/** What an hour's maintenance of one machine takes must not move copies of everything. */
export const AUTO_ANCHORS_PATIENCE: AutoAnchorsPatience = {
  steadyMs: 15 * 60_000,
  silentMs: 60 * 60_000,
  gapMs: 5 * 60_000,
};

export interface AutoAnchors {
  readonly memory: AutoAnchorsMemory;
  /** Who should carry the mesh now; absent: those who do. */
  readonly wanted?: readonly PeerId[];
}

/**
 * Whether the anchors should be others, where their owner leaves that to podmesh: from one to the steadiest three or five,
 * to five of many, and another one in the place of one that is gone. One change at a time, never back, and never a
 * machine with a battery. What was seen is forgotten with each change, whoever wanted it: the next one takes as long again.
 */
export function autoAnchors(
  before: AutoAnchorsMemory | undefined,
  seen: AnchorsSeen,
  nowMs: number,
  patience: AutoAnchorsPatience = AUTO_ANCHORS_PATIENCE,
): AutoAnchors {
  const { generation } = seen.record;
  const isOfNow = before?.generation === generation && nowMs - before.lookedMs <= patience.gapMs;
  const known = isOfNow ? before : undefined;
  const peers = seen.candidates.map(({ peer }) => peer);
  const memory: AutoAnchorsMemory = {
    lookedMs: nowMs,
    generation,
    thereSinceMs: since(known?.thereSinceMs, peers, nowMs),
    silentSinceMs: since(known?.silentSinceMs, seen.silent, nowMs),
  };
  const steady = seen.candidates.filter(
    ({ peer }) => nowMs - (memory.thereSinceMs.get(peer) ?? nowMs) >= patience.steadyMs,
  );
  const wanted =
    seen.silent.length > 0
      ? withoutSilent(seen, steady, (peer) => {
          const sinceMs = memory.silentSinceMs.get(peer) ?? nowMs;
          return nowMs - sinceMs >= patience.silentMs;
        })
      : more(seen, steady);
  if (wanted === undefined) return { memory };
  return {
    memory: { lookedMs: nowMs, generation, thereSinceMs: new Map(), silentSinceMs: new Map() },
    wanted,
  };
}

function since(
  before: ReadonlyMap<PeerId, number> | undefined,
  now: readonly PeerId[],
  nowMs: number,
): ReadonlyMap<PeerId, number> {
  return new Map(now.map((peer) => [peer, before?.get(peer) ?? nowMs]));
}

/** One that is gone gives its place to the steadiest of the others. */
function withoutSilent(
  { record, self, silent }: AnchorsSeen,
  steady: readonly AnchorCandidate[],
  isGone: (peer: PeerId) => boolean,
): readonly PeerId[] | undefined {
  if (record.cluster === undefined) return undefined;
  const now = record.anchors.map(({ peer }) => peer);
  const gone = now.find((peer) => silent.includes(peer) && peer !== self && isGone(peer));
  if (gone === undefined) return undefined;
  const others = steady.filter(({ peer }) => !silent.includes(peer));
  const comes = steadiestBeside(others, now);
  return comes && [...now.filter((peer) => peer !== gone), comes];
}

/** More of them, and all that there are among them. */
function more(
  { record, self }: AnchorsSeen,
  steady: readonly AnchorCandidate[],
): readonly PeerId[] | undefined {
  const now = record.anchors.map(({ peer }) => peer);
  const { anchors } = proposeAnchors(steady);
  const keeps = [...now, self].every((peer) => anchors.includes(peer));
  return keeps && anchors.length > now.length ? anchors : undefined;
}
