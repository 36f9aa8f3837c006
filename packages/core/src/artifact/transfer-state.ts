import type { ArtifactId, PeerId } from '../words/ids.ts';
import type { ChunkList, Holding, SourceRefusal } from './artifact-exchange.ts';
import type { ChunkMap } from './chunk-map.ts';

/** Who else has it is asked so soon after the beginning: others may have begun to fetch it at the same time… */
export const FIND_FIRST_MS = 300;
/** …then this often while it is not here… */
export const FIND_AGAIN_MS = 2_000;
/** …and so often when others do: what each of them has changes all the time. */
export const FIND_SPREAD_MS = 500;

/** Where a chunk is: `checking` is between the last of its bytes and the disk's word that they are right. */
export type ChunkState = 'missing' | 'asked' | 'checking' | 'here';

/** A chunk on its way from a source. */
export interface ChunkAsk {
  readonly sinceMs: number;
  /** Nobody wants it any more; its end is yet to be heard of. */
  cancelled: boolean;
}

/** One list of chunks that somebody gave; the sources that gave an equal one are its group. */
export interface ListGroup {
  readonly list: ChunkList;
  /** All chunks were as it says, and the whole was not: whoever gave it lies, or repeats a lie. */
  lie: boolean;
}

/** What a transfer knows of one source. */
export interface TransferSource {
  readonly peer: PeerId;
  /** False: it has only some chunks as yet. */
  whole: boolean;
  /** Which, as it said last; undefined: it does not say. */
  here: ChunkMap | undefined;
  /** `gone`: failed, and does not say any more that it has the artifact. `blamed`: gave wrong bytes. */
  standing: 'there' | 'gone' | 'blamed';
  list: 'unknown' | 'asked' | 'known';
  listAskedMs: number;
  group: ListGroup | undefined;
  readonly asked: Map<number, ChunkAsk>;
  /** In a row. */
  failures: number;
  /** It is asked for nothing before. */
  restUntilMs: number;
}

export type TransferEnding = 'stored' | 'no-source' | 'stalled' | 'deadline' | 'corrupt';

export type TransferPhase =
  /** No list of chunks is chosen. */
  | { readonly kind: 'choosing' }
  /** The disk makes itself ready for the list's chunks. */
  | { readonly kind: 'opening'; readonly group: ListGroup }
  | {
      readonly kind: 'fetching';
      readonly group: ListGroup;
      readonly chunks: ChunkState[];
      /** Whose bytes are with the disk, by chunk. */
      readonly checking: Map<number, PeerId>;
      here: number;
      /** The chunk with which the order begins… */
      first: number;
      /** …and the place in it before which nothing is missing. */
      cursor: number;
    }
  /** All chunks are here; the disk compares the whole with its name. */
  | { readonly kind: 'committing'; readonly group: ListGroup }
  | { readonly kind: 'ended'; readonly ending: TransferEnding };

/** One peer's effort to get one artifact: changed by `planTransfer` and `applyTransfer` and nothing else. */
export interface TransferState {
  readonly artifact: ArtifactId;
  /** Who fetches: spreads the order of chunks and sources over those who want the same. */
  readonly self: PeerId;
  /** Where it is known beforehand, a list of another length is a lie. */
  readonly bytes: number | undefined;
  readonly startedMs: number;
  readonly sources: Map<PeerId, TransferSource>;
  readonly groups: ListGroup[];
  phase: TransferPhase;
  /** Times that a list was chosen; bounds the work that liars can cause. */
  openings: number;
  /** Others fetch it, too: chunks are asked in an order of one's own, so that all can serve each other. */
  spread: boolean;
  finding: boolean;
  findAtMs: number;
  /** A source was lost after the last question who has it had begun. */
  lostSinceFind: boolean;
  /** Somebody gave wrong bytes or a wrong list. */
  wronged: boolean;
  lastProgressMs: number;
  /** How long the last chunks took, to tell which are slow. */
  readonly tookMs: number[];
}

/** What the edge is to do. */
export type TransferStep =
  /** `first`: somebody who has it is needed. `everybody`: who else is there, meanwhile. */
  | { readonly kind: 'find-sources'; readonly until: 'first' | 'everybody' }
  | { readonly kind: 'ask-list'; readonly source: PeerId }
  /** Opens the disk for this list, after closing what was open for another. */
  | { readonly kind: 'open'; readonly list: ChunkList }
  | { readonly kind: 'ask-chunk'; readonly source: PeerId; readonly index: number }
  | { readonly kind: 'cancel-ask'; readonly source: PeerId; readonly index: number }
  | { readonly kind: 'commit' }
  | { readonly kind: 'end'; readonly ending: TransferEnding }
  /** Nothing to do before this, unless something happens. */
  | { readonly kind: 'wait'; readonly untilMs: number };

/** What happened. Each `ask-chunk` ends with exactly one of the last five, `cancel-ask` or not. */
export type TransferEvent =
  | { readonly kind: 'sources-found'; readonly holdings: readonly Holding[] }
  | { readonly kind: 'list-known'; readonly source: PeerId; readonly list: ChunkList }
  | { readonly kind: 'list-refused'; readonly source: PeerId; readonly refusal: SourceRefusal }
  | { readonly kind: 'opened'; readonly here: ReadonlySet<number> }
  | { readonly kind: 'whole-checked'; readonly outcome: 'stored' | 'corrupt' }
  /** All bytes are here, and the disk is about to compare them; one of the next two follows. */
  | { readonly kind: 'chunk-received'; readonly source: PeerId; readonly index: number }
  | { readonly kind: 'chunk-here'; readonly source: PeerId; readonly index: number }
  | { readonly kind: 'chunk-corrupt'; readonly source: PeerId; readonly index: number }
  | { readonly kind: 'chunk-cancelled'; readonly source: PeerId; readonly index: number }
  | {
      readonly kind: 'chunk-refused';
      readonly source: PeerId;
      readonly index: number;
      readonly refusal: SourceRefusal;
    };

export interface TransferOrder {
  readonly artifact: ArtifactId;
  readonly self: PeerId;
  readonly bytes?: number;
  /** Peers that are likely to have it: they are asked before anybody else is looked for. */
  readonly hints?: readonly PeerId[];
}

export function newTransfer(order: TransferOrder, nowMs: number): TransferState {
  const { artifact, self, bytes, hints = [] } = order;
  const sources = hints.filter((peer) => peer !== self).map((peer) => newSource(peer, true));
  return {
    artifact,
    self,
    bytes,
    startedMs: nowMs,
    sources: new Map(sources.map((source) => [source.peer, source])),
    groups: [],
    phase: { kind: 'choosing' },
    openings: 0,
    spread: false,
    finding: false,
    findAtMs: nowMs,
    lostSinceFind: false,
    wronged: false,
    lastProgressMs: nowMs,
    tookMs: [],
  };
}

export function newSource(peer: PeerId, whole: boolean): TransferSource {
  return {
    peer,
    whole,
    here: undefined,
    standing: 'there',
    list: 'unknown',
    listAskedMs: 0,
    group: undefined,
    asked: new Map(),
    failures: 0,
    restUntilMs: 0,
  };
}

/** Chunks on their way or with the disk: what the bound on streams counts. */
export function chunksInFlight({ sources, phase }: TransferState): number {
  let count = phase.kind === 'fetching' ? phase.checking.size : 0;
  for (const { asked } of sources.values()) count += asked.size;
  return count;
}

/** Whether bytes that have just come are still wanted: a second source may have been quicker. */
export function isChunkWanted({ phase }: TransferState, index: number): boolean {
  return phase.kind === 'fetching' && phase.chunks[index] === 'asked';
}

/** The list that most sources give. Equal numbers: the one that was known first, which is a hint's. */
export function fullestGroup({ groups, sources }: TransferState): ListGroup | undefined {
  let best: { readonly group: ListGroup; readonly members: number } | undefined;
  for (const group of groups) {
    const members = [...sources.values()].filter((source) => isMember(source, group)).length;
    if (!group.lie && members > (best?.members ?? 0)) best = { group, members };
  }
  return best?.group;
}

/** Whether it gave this list, and can be asked for the chunks. */
export function isMember(source: TransferSource, group: ListGroup): boolean {
  return source.standing === 'there' && source.group === group;
}

/** Whether it can be asked for something now. */
export function isAwake({ standing, restUntilMs }: TransferSource, nowMs: number): boolean {
  return standing === 'there' && restUntilMs <= nowMs;
}

/**
 * Where a peer begins when others fetch the same: from its name, so that everybody can guess which chunks of
 * an artifact it got first.
 */
export function firstChunkOf(peer: PeerId, artifact: ArtifactId, chunks: number): number {
  return chunks === 0 ? 0 : spreadOf(`${peer} ${artifact}`) % chunks;
}

/** FNV-1a, mixed: spreads, and protects nothing. */
export function spreadOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < text.length; at += 1) {
    hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  }
  return mixed(hash);
}

/** A place of this number in an order that is the seed's own. */
export function shuffled(seed: number, index: number): number {
  return mixed(seed ^ Math.imul(index + 1, 0x9e3779b9));
}

/** The last step of MurmurHash3: each bit depends on all. */
function mixed(bits: number): number {
  let hash = Math.imul(bits ^ (bits >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
