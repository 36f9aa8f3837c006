import {
  ARTIFACT_BYTES_MAX,
  CHUNK_BYTES,
  SOURCE_BACK_OFF_MS,
  SOURCE_BACK_OFF_MS_MAX,
  SOURCE_CORRUPT_MS,
} from '../words/limits.ts';
import { unreachable } from '../words/unreachable.ts';
import type { ChunkList, Holding, SourceRefusal } from './artifact-exchange.ts';
import {
  FIND_AGAIN_MS,
  FIND_FIRST_MS,
  FIND_SPREAD_MS,
  newSource,
  spreadOf,
  type TransferEvent,
  type TransferSource,
  type TransferState,
} from './transfer-state.ts';

/** Sources that a transfer keeps in mind. */
const SOURCES_MAX = 16;
/** A source that fetches it itself, and has not that chunk yet, is asked again after this. */
const NOT_YET_MS = 500;
/** Whatever a busy source says. */
const BUSY_MS_MIN = 50;
const BUSY_MS_MAX = 10_000;
/** Chunks whose time is remembered. */
const TIMES_MAX = 15;
const HEX_DIGEST = /^[0-9a-f]{64}$/;

/** Notes what happened; what follows from it, `planTransfer` says. */
export function applyTransfer(state: TransferState, event: TransferEvent, nowMs: number): void {
  switch (event.kind) {
    case 'sources-found':
      noteSources(state, event.holdings, nowMs);
      return;
    case 'whole-checked':
      noteWhole(state, event.outcome, nowMs);
      return;
    case 'opened':
      noteOpened(state, event.here, nowMs);
      return;
    case 'list-known':
    case 'list-refused': {
      const source = state.sources.get(event.source);
      if (source === undefined) return;
      source.list = 'unknown';
      if (event.kind === 'list-known') noteList(state, source, event.list, nowMs);
      else noteRefusal(state, source, event.refusal, nowMs);
      return;
    }
    case 'chunk-received':
    case 'chunk-here':
    case 'chunk-corrupt':
    case 'chunk-cancelled':
    case 'chunk-refused':
      noteChunk(state, event, nowMs);
      return;
    default:
      unreachable(event);
  }
}

/** Whether a list can be one: as many digests as its bytes are chunks, and no more bytes than an artifact may have. */
export function isChunkList({ bytes, digests }: ChunkList): boolean {
  return (
    Number.isSafeInteger(bytes) &&
    bytes >= 0 &&
    bytes <= ARTIFACT_BYTES_MAX &&
    digests.length === Math.ceil(bytes / CHUNK_BYTES) &&
    digests.every((digest) => HEX_DIGEST.test(digest))
  );
}

/** Holders are taken in an order of one's own: a hundred of them share the work. */
function noteSources(state: TransferState, holdings: readonly Holding[], nowMs: number): void {
  state.finding = false;
  const found = new Set(holdings.map(({ peer }) => peer));
  for (const source of state.sources.values()) {
    // It failed and does not say that it has it, either: it is not waited for.
    if (source.failures > 0 && source.standing === 'there' && !found.has(source.peer)) {
      source.standing = 'gone';
    }
  }
  state.findAtMs = nowMs + findAgainMs(state, nowMs, holdings);
  const place = ({ peer }: Holding): number => spreadOf(`${state.self} ${peer}`);
  for (const { peer, whole, here } of [...holdings].sort((a, b) => place(a) - place(b))) {
    if (peer === state.self) continue;
    if (!whole) state.spread = true;
    const known = state.sources.get(peer);
    if (known === undefined && state.sources.size >= SOURCES_MAX) continue;
    const source = known ?? newSource(peer, whole);
    state.sources.set(peer, source);
    source.whole = whole;
    source.here = here;
    if (source.standing === 'gone') source.standing = 'there';
  }
  if (state.lostSinceFind) findSoon(state, nowMs);
}

/** Soon when others fetch it, too; and soon for the first time: they may begin together. */
function findAgainMs(
  { self, startedMs }: TransferState,
  nowMs: number,
  holdings: readonly Holding[],
): number {
  if (holdings.some(({ peer, whole }) => !whole && peer !== self)) return FIND_SPREAD_MS;
  return nowMs - startedMs < FIND_FIRST_MS ? FIND_FIRST_MS : FIND_AGAIN_MS;
}

function noteList(
  state: TransferState,
  source: TransferSource,
  list: ChunkList,
  nowMs: number,
): void {
  if (!isChunkList(list) || (state.bytes !== undefined && list.bytes !== state.bytes)) {
    blame(state, source, nowMs);
    return;
  }
  let group = state.groups.find((known) => isSameList(known.list, list));
  if (group === undefined) {
    group = { list, lie: false };
    state.groups.push(group);
  }
  source.list = 'known';
  source.group = group;
  source.failures = 0;
  if (group.lie) blame(state, source, nowMs);
}

function isSameList(a: ChunkList, b: ChunkList): boolean {
  return a.bytes === b.bytes && a.digests.every((digest, at) => digest === b.digests[at]);
}

function blame(state: TransferState, source: TransferSource, nowMs: number): void {
  source.standing = 'blamed';
  source.restUntilMs = nowMs + SOURCE_CORRUPT_MS;
  state.wronged = true;
  state.lostSinceFind = true;
  findSoon(state, nowMs);
}

/** With nobody to ask at this moment, all are asked again who has it: before anything is given up, too. */
function findSoon(state: TransferState, nowMs: number): void {
  for (const { standing, restUntilMs } of state.sources.values()) {
    if (standing === 'there' && restUntilMs <= nowMs) return;
  }
  state.findAtMs = Math.min(state.findAtMs, nowMs);
}

function noteRefusal(
  state: TransferState,
  source: TransferSource,
  refusal: SourceRefusal,
  nowMs: number,
): void {
  switch (refusal.kind) {
    case 'busy': {
      const restMs = Math.min(BUSY_MS_MAX, Math.max(BUSY_MS_MIN, refusal.afterMs));
      source.restUntilMs = nowMs + restMs;
      // It serves others: perhaps they fetch the same.
      state.spread = true;
      return;
    }
    case 'not-here':
      if (!source.whole) {
        source.restUntilMs = nowMs + NOT_YET_MS;
        return;
      }
      break;
    case 'unreachable':
    case 'stalled':
    case 'short':
    case 'refused':
      break;
    default:
      unreachable(refusal);
  }
  // Asks that were open together fail together: that is one failure.
  if (source.restUntilMs > nowMs) return;
  const restMs = SOURCE_BACK_OFF_MS * 2 ** source.failures;
  source.failures += 1;
  source.restUntilMs = nowMs + Math.min(SOURCE_BACK_OFF_MS_MAX, restMs);
  state.lostSinceFind = true;
  findSoon(state, nowMs);
}

function noteOpened(state: TransferState, here: ReadonlySet<number>, nowMs: number): void {
  const { phase } = state;
  if (phase.kind !== 'opening') return;
  const { group } = phase;
  const chunks = group.list.digests.map((_, index) => (here.has(index) ? 'here' : 'missing'));
  state.phase = {
    kind: 'fetching',
    group,
    chunks,
    checking: new Map(),
    here: chunks.filter((chunk) => chunk === 'here').length,
    first: 0,
    cursor: 0,
  };
  state.lastProgressMs = nowMs;
}

/** Chunks that were as the list says do not make the whole: all who gave that list are to blame. */
function noteWhole(state: TransferState, outcome: 'stored' | 'corrupt', nowMs: number): void {
  const { phase } = state;
  if (phase.kind !== 'committing') return;
  if (outcome === 'stored') {
    state.phase = { kind: 'ended', ending: 'stored' };
    return;
  }
  const { group } = phase;
  group.lie = true;
  for (const source of state.sources.values()) {
    if (source.group === group) blame(state, source, nowMs);
  }
  state.phase = { kind: 'choosing' };
  state.lastProgressMs = nowMs;
}

type ChunkEvent = Extract<TransferEvent, { index: number }>;

function noteChunk(state: TransferState, event: ChunkEvent, nowMs: number): void {
  const { phase } = state;
  const { index } = event;
  const source = state.sources.get(event.source);
  if (source === undefined || phase.kind !== 'fetching') return;
  const ask = source.asked.get(index);
  source.asked.delete(index);
  // Another source's may be with the disk, when this one was asked because that took long.
  if (phase.checking.get(index) === source.peer) phase.checking.delete(index);
  switch (event.kind) {
    case 'chunk-received':
      if (ask !== undefined) {
        state.tookMs.push(nowMs - ask.sinceMs);
        if (state.tookMs.length > TIMES_MAX) state.tookMs.shift();
      }
      phase.checking.set(index, source.peer);
      phase.chunks[index] = 'checking';
      return;
    case 'chunk-here':
      if (phase.chunks[index] !== 'here') phase.here += 1;
      phase.chunks[index] = 'here';
      source.failures = 0;
      state.lastProgressMs = nowMs;
      return;
    case 'chunk-corrupt':
      missAgain(state, index);
      if (source.standing !== 'blamed') blame(state, source, nowMs);
      return;
    case 'chunk-cancelled':
      missAgain(state, index);
      return;
    case 'chunk-refused':
      missAgain(state, index);
      noteRefusal(state, source, event.refusal, nowMs);
      return;
    default:
      unreachable(event);
  }
}

/** Unless somebody else is asked for it, or has given it. */
function missAgain({ phase, sources }: TransferState, index: number): void {
  if (phase.kind !== 'fetching' || phase.chunks[index] === 'here') return;
  if (phase.checking.has(index)) return;
  for (const { asked } of sources.values()) if (asked.has(index)) return;
  phase.chunks[index] = 'missing';
  phase.cursor = 0;
}
