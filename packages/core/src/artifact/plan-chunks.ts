import { STREAMS_PER_SOURCE_MAX, STREAMS_PER_TRANSFER_MAX } from '../words/limits.ts';
import { mapHas } from './chunk-map.ts';
import {
  type ChunkAsk,
  chunksInFlight,
  firstChunkOf,
  fullestGroup,
  isAwake,
  isMember,
  shuffled,
  spreadOf,
  type TransferPhase,
  type TransferSource,
  type TransferState,
  type TransferStep,
} from './transfer-state.ts';

/** A chunk that takes so many times longer than the others is asked of a second source… */
const SLOW_FACTOR = 10;
/** …but not before this. */
const SLOW_MS_MIN = 2_000;

/** Missing chunks among which the rarest is looked for. */
const LOOKED_AT_MAX = 256;

/** So many who fetch the same are many. */
const CROWD = 3;

type Fetching = Extract<TransferPhase, { kind: 'fetching' }>;

/** Whether another list is to be chosen: all who gave this one are lost, and somebody gave another. */
export function planChunks(
  state: TransferState,
  phase: Fetching,
  nowMs: number,
  steps: TransferStep[],
): boolean {
  const whole = phase.here === phase.chunks.length;
  if (whole || isAbandoned(state, phase)) {
    cancelAll(state, steps);
    if (chunksInFlight(state) > 0) return false;
    state.phase = whole ? { kind: 'committing', group: phase.group } : { kind: 'choosing' };
    if (whole) steps.push({ kind: 'commit' });
    return !whole;
  }
  cancelUnwanted(state, phase, steps);
  while (chunksInFlight(state) < STREAMS_PER_TRANSFER_MAX) {
    const ask = nextAsk(state, phase, nowMs);
    if (ask === undefined) return false;
    ask.source.asked.set(ask.index, { sinceMs: nowMs, cancelled: false });
    phase.chunks[ask.index] = 'asked';
    steps.push({ kind: 'ask-chunk', source: ask.source.peer, index: ask.index });
  }
  return false;
}

/** Nobody is left who gave this list, and somebody is who gave another. */
function isAbandoned(state: TransferState, { group }: Fetching): boolean {
  for (const source of state.sources.values()) if (isMember(source, group)) return false;
  return fullestGroup(state) !== undefined;
}

function cancelAll({ sources }: TransferState, steps: TransferStep[]): void {
  for (const { peer, asked } of sources.values()) {
    for (const [index, ask] of asked) cancel(peer, index, ask, steps);
  }
}

/** What another source was quicker with, and what is asked of somebody who is not to be trusted any more. */
function cancelUnwanted(state: TransferState, phase: Fetching, steps: TransferStep[]): void {
  for (const { peer, asked, standing } of state.sources.values()) {
    for (const [index, ask] of asked) {
      if (standing === 'blamed' || phase.chunks[index] !== 'asked') cancel(peer, index, ask, steps);
    }
  }
}

function cancel(
  source: TransferSource['peer'],
  index: number,
  ask: ChunkAsk,
  steps: TransferStep[],
): void {
  if (ask.cancelled) return;
  ask.cancelled = true;
  steps.push({ kind: 'cancel-ask', source, index });
}

interface NextAsk {
  readonly source: TransferSource;
  readonly index: number;
}

function nextAsk(state: TransferState, phase: Fetching, nowMs: number): NextAsk | undefined {
  for (const source of freeSources(state, phase, nowMs)) {
    const index = nextMissing(state, phase, source) ?? slowChunk(state, source, nowMs);
    if (index !== undefined) return { source, index };
  }
  return undefined;
}

/** Those with the least to do first; then those who fetch it themselves, since all ask the others. */
function freeSources(state: TransferState, phase: Fetching, nowMs: number): TransferSource[] {
  const free = [...state.sources.values()].filter(
    (source) =>
      isAwake(source, nowMs) &&
      source.group === phase.group &&
      source.asked.size < streamsOf(state, source),
  );
  return free.sort((a, b) => a.asked.size - b.asked.size || Number(a.whole) - Number(b.whole));
}

/** Of one that many fetch from, one each: it sends the same in all, and all know sooner who has what. */
function streamsOf({ sources }: TransferState, { whole }: TransferSource): number {
  if (!whole) return STREAMS_PER_SOURCE_MAX;
  let others = 0;
  for (const source of sources.values())
    if (!source.whole && source.standing === 'there') others += 1;
  return others >= CROWD ? 1 : STREAMS_PER_SOURCE_MAX;
}

/** In order, so that the whole can be hashed as it grows; when others fetch it too, in an order of one's own. */
function nextMissing(
  state: TransferState,
  phase: Fetching,
  source: TransferSource,
): number | undefined {
  const { chunks } = phase;
  const first = state.spread ? firstChunkOf(state.self, state.artifact, chunks.length) : 0;
  if (first !== phase.first) Object.assign(phase, { first, cursor: 0 });
  const at = (place: number): number => (first + place) % chunks.length;
  while (phase.cursor < chunks.length && chunks[at(phase.cursor)] !== 'missing') phase.cursor += 1;
  if (phase.cursor === chunks.length) return undefined;
  if (state.spread && (source.whole || source.here !== undefined)) {
    return rarestMissing(state, phase, source);
  }
  if (source.whole) return at(phase.cursor);
  // Of a peer that fetches it, too, and does not tell what it has, most likely what it began with.
  const its = firstChunkOf(source.peer, state.artifact, chunks.length);
  for (let place = 0; place < chunks.length; place += 1) {
    const index = (its + place) % chunks.length;
    if (chunks[index] === 'missing') return index;
  }
  return undefined;
}

/**
 * Of what this source has and is missing here, what the fewest others have, and of these a random one: so each chunk leaves
 * the one who has them all about once, and all who fetch have something for each other.
 */
function rarestMissing(
  { self, sources }: TransferState,
  { chunks, first, cursor }: Fetching,
  { whole, here }: TransferSource,
): number | undefined {
  const others = [...sources.values()].flatMap(({ here: map }) => (map === undefined ? [] : [map]));
  const seed = spreadOf(self);
  let best: { readonly index: number; readonly copies: number; readonly lot: number } | undefined;
  let looked = 0;
  for (let place = cursor; place < chunks.length && looked < LOOKED_AT_MAX; place += 1) {
    const index = (first + place) % chunks.length;
    if (chunks[index] !== 'missing') continue;
    if (!whole && (here === undefined || !mapHas(here, index))) continue;
    looked += 1;
    const copies = others.filter((map) => mapHas(map, index)).length;
    const lot = shuffled(seed, index);
    if (best === undefined || copies < best.copies || (copies === best.copies && lot < best.lot)) {
      best = { index, copies, lot };
    }
  }
  return best?.index;
}

/** With nothing missing: a chunk that somebody else takes much too long for. */
function slowChunk(
  state: TransferState,
  { peer }: TransferSource,
  nowMs: number,
): number | undefined {
  for (const [index, { source, sinceMs }] of loneAsks(state)) {
    if (source !== peer && nowMs >= sinceMs + slowMs(state)) return index;
  }
  return undefined;
}

/** Chunks that are asked of exactly one source. */
export function loneAsks({ sources }: TransferState) {
  const lone = new Map<number, { readonly source: string; readonly sinceMs: number }>();
  const twice = new Set<number>();
  for (const { peer, asked } of sources.values()) {
    for (const [index, { sinceMs, cancelled }] of asked) {
      if (cancelled) continue;
      if (lone.has(index)) twice.add(index);
      lone.set(index, { source: peer, sinceMs });
    }
  }
  for (const index of twice) lone.delete(index);
  return lone;
}

/** A chunk that takes longer than this is asked of a second source. */
export function slowMs({ tookMs }: TransferState): number {
  const sorted = [...tookMs].sort((a, b) => a - b);
  return Math.max(SLOW_MS_MIN, SLOW_FACTOR * (sorted[Math.floor(sorted.length / 2)] ?? 0));
}
