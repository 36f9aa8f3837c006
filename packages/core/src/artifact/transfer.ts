import {
  STREAMS_PER_SOURCE_MAX,
  STREAMS_PER_TRANSFER_MAX,
  TRANSFER_STALL_MS,
} from '../words/limits.ts';
import { unreachable } from '../words/unreachable.ts';
import {
  type ChunkAsk,
  chunksInFlight,
  FIND_AGAIN_MS,
  firstChunkOf,
  type ListGroup,
  type TransferEnding,
  type TransferPhase,
  type TransferSource,
  type TransferState,
  type TransferStep,
} from './transfer-state.ts';

/** Lists of chunks asked for at the same time: more say nothing new. */
const LISTS_ASKED_MAX = 4;
/** How long the lists of others are waited for once there is one to begin with. */
const LIST_WAIT_MS = 250;
/** Lists that a transfer tries; each can cost all bytes once. */
const OPENINGS_MAX = 4;
/** A chunk that takes so many times longer than the others is asked of a second source… */
const SLOW_FACTOR = 10;
/** …but not before this. */
const SLOW_MS_MIN = 2_000;
/** A transfer may take this long, whatever its size… */
const TRANSFER_MS = 300_000;
/** …and longer by its bytes at this speed. */
const BYTES_PER_MS_MIN = 256;

type Fetching = Extract<TransferPhase, { kind: 'fetching' }>;

/**
 * What is to be done now. All of it is noted in the state as being done: to plan again orders only what is
 * new. The last step is a `wait`, unless the transfer ended.
 */
export function planTransfer(state: TransferState, nowMs: number): readonly TransferStep[] {
  if (state.phase.kind === 'ended') return [];
  const ending = endingOf(state, nowMs);
  if (ending !== undefined) {
    state.phase = { kind: 'ended', ending };
    return [{ kind: 'end', ending }];
  }
  const steps: TransferStep[] = [];
  planFinding(state, nowMs, steps);
  planLists(state, nowMs, steps);
  switch (state.phase.kind) {
    case 'choosing':
      planOpening(state, nowMs, steps);
      break;
    case 'fetching':
      planChunks(state, state.phase, nowMs, steps);
      break;
    case 'opening':
    case 'committing':
      break;
    default:
      unreachable(state.phase);
  }
  steps.push({ kind: 'wait', untilMs: nextMs(state, nowMs) });
  return steps;
}

/** Why it is over, if it is. The disk is left to finish what it does: its bytes are all here. */
function endingOf(state: TransferState, nowMs: number): TransferEnding | undefined {
  const { phase } = state;
  if (phase.kind === 'opening' || phase.kind === 'committing') return undefined;
  if (nowMs >= deadlineMs(state)) return 'deadline';
  if (nowMs >= state.lastProgressMs + TRANSFER_STALL_MS) return 'stalled';
  if (phase.kind === 'fetching' && phase.here === phase.chunks.length) return undefined;
  if (chunksInFlight(state) > 0) return undefined;
  const exhausted = !state.finding && !state.lostSinceFind && state.findAtMs > nowMs;
  if (exhausted && !anySource(state)) return state.wronged ? 'corrupt' : 'no-source';
  const noListLeft = phase.kind === 'choosing' && state.openings >= OPENINGS_MAX;
  return noListLeft ? (state.wronged ? 'corrupt' : 'no-source') : undefined;
}

function deadlineMs(state: TransferState): number {
  const { phase } = state;
  const bytes = state.bytes ?? (phase.kind === 'fetching' ? phase.group.list.bytes : 0);
  return state.startedMs + TRANSFER_MS + bytes / BYTES_PER_MS_MIN;
}

function anySource({ sources }: TransferState): boolean {
  return [...sources.values()].some(({ standing }) => standing === 'there');
}

/** Hints are tried first; as soon as nobody can be asked for anything, and every now and then, all are asked. */
function planFinding(state: TransferState, nowMs: number, steps: TransferStep[]): void {
  if (state.finding || state.phase.kind === 'committing') return;
  const hinted = state.findAtMs === state.startedMs && canAsk(state, nowMs);
  if (hinted) state.findAtMs = nowMs + FIND_AGAIN_MS;
  if (nowMs < state.findAtMs) return;
  state.finding = true;
  state.lostSinceFind = false;
  state.findAtMs = nowMs + FIND_AGAIN_MS;
  steps.push({ kind: 'find-sources' });
}

function canAsk({ sources }: TransferState, nowMs: number): boolean {
  return [...sources.values()].some((source) => isAwake(source, nowMs));
}

function isAwake({ standing, restUntilMs }: TransferSource, nowMs: number): boolean {
  return standing === 'there' && restUntilMs <= nowMs;
}

/** A source is asked for chunks of the very list it gave: only then a wrong chunk is its own fault. */
function planLists(state: TransferState, nowMs: number, steps: TransferStep[]): void {
  const { phase, sources } = state;
  if (phase.kind !== 'choosing' && phase.kind !== 'fetching') return;
  let asked = 0;
  let useful = 0;
  for (const source of sources.values()) {
    if (source.list === 'asked') asked += 1;
    if (phase.kind === 'fetching' && source.group === phase.group && isAwake(source, nowMs)) {
      useful += 1;
    }
  }
  for (const source of sources.values()) {
    if (asked >= LISTS_ASKED_MAX || asked + useful >= STREAMS_PER_TRANSFER_MAX) return;
    if (source.list !== 'unknown' || !isAwake(source, nowMs)) continue;
    source.list = 'asked';
    source.listAskedMs = nowMs;
    asked += 1;
    steps.push({ kind: 'ask-list', source: source.peer });
  }
}

/** The list that most sources give, once all have answered that were asked, or were waited for. */
function planOpening(state: TransferState, nowMs: number, steps: TransferStep[]): void {
  if (state.openings >= OPENINGS_MAX || listsWaitMs(state) > nowMs) return;
  const best = fullestGroup(state);
  if (best === undefined) return;
  state.openings += 1;
  state.phase = { kind: 'opening', group: best };
  steps.push({ kind: 'open', list: best.list });
}

/** Until when lists that are on their way are waited for. */
function listsWaitMs({ sources }: TransferState): number {
  let untilMs = 0;
  for (const { list, listAskedMs, standing } of sources.values()) {
    if (list === 'asked' && standing === 'there') {
      untilMs = Math.max(untilMs, listAskedMs + LIST_WAIT_MS);
    }
  }
  return untilMs;
}

/** Equal numbers: the one that was known first, which is a hint's. */
function fullestGroup({ groups, sources }: TransferState): ListGroup | undefined {
  let best: { readonly group: ListGroup; readonly members: number } | undefined;
  for (const group of groups) {
    const members = [...sources.values()].filter((source) => isMember(source, group)).length;
    if (!group.lie && members > (best?.members ?? 0)) best = { group, members };
  }
  return best?.group;
}

function isMember(source: TransferSource, group: ListGroup): boolean {
  return source.standing === 'there' && source.group === group;
}

function planChunks(
  state: TransferState,
  phase: Fetching,
  nowMs: number,
  steps: TransferStep[],
): void {
  const whole = phase.here === phase.chunks.length;
  if (whole || isAbandoned(state, phase)) {
    cancelAll(state, steps);
    if (chunksInFlight(state) > 0) return;
    if (whole) {
      state.phase = { kind: 'committing', group: phase.group };
      steps.push({ kind: 'commit' });
    } else {
      state.phase = { kind: 'choosing' };
      planOpening(state, nowMs, steps);
    }
    return;
  }
  cancelUnwanted(state, phase, steps);
  while (chunksInFlight(state) < STREAMS_PER_TRANSFER_MAX) {
    const ask = nextAsk(state, phase, nowMs);
    if (ask === undefined) return;
    ask.source.asked.set(ask.index, { sinceMs: nowMs, cancelled: false });
    phase.chunks[ask.index] = 'asked';
    steps.push({ kind: 'ask-chunk', source: ask.source.peer, index: ask.index });
  }
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
      source.asked.size < STREAMS_PER_SOURCE_MAX,
  );
  return free.sort((a, b) => a.asked.size - b.asked.size || Number(a.whole) - Number(b.whole));
}

/** In order, so that the whole can be hashed as it grows; when others fetch it too, from a chunk of one's own. */
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
  if (source.whole) return at(phase.cursor);
  // Of a peer that fetches it, too, most likely what it began with.
  const its = firstChunkOf(source.peer, state.artifact, chunks.length);
  for (let place = 0; place < chunks.length; place += 1) {
    const index = (its + place) % chunks.length;
    if (chunks[index] === 'missing') return index;
  }
  return undefined;
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
function loneAsks({ sources }: TransferState) {
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

function slowMs({ tookMs }: TransferState): number {
  const sorted = [...tookMs].sort((a, b) => a - b);
  return Math.max(SLOW_MS_MIN, SLOW_FACTOR * (sorted[Math.floor(sorted.length / 2)] ?? 0));
}

/** The next moment at which something would be planned although nothing happened. */
function nextMs(state: TransferState, nowMs: number): number {
  const { phase } = state;
  if (phase.kind === 'opening' || phase.kind === 'committing') return Number.POSITIVE_INFINITY;
  const moments = [state.lastProgressMs + TRANSFER_STALL_MS, deadlineMs(state)];
  if (!state.finding) moments.push(state.findAtMs);
  for (const { standing, restUntilMs } of state.sources.values()) {
    if (standing === 'there') moments.push(restUntilMs);
  }
  if (phase.kind === 'choosing') moments.push(listsWaitMs(state));
  else for (const { sinceMs } of loneAsks(state).values()) moments.push(sinceMs + slowMs(state));
  return Math.min(...moments.filter((moment) => moment > nowMs));
}
