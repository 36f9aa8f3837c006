import { STREAMS_PER_TRANSFER_MAX, TRANSFER_STALL_MS } from '../words/limits.ts';
import { unreachable } from '../words/unreachable.ts';
import { loneAsks, planChunks, slowMs } from './plan-chunks.ts';
import {
  chunksInFlight,
  FIND_AGAIN_MS,
  FIND_FIRST_MS,
  fullestGroup,
  isAwake,
  type TransferEnding,
  type TransferState,
  type TransferStep,
} from './transfer-state.ts';

/** Lists of chunks asked for at the same time: more say nothing new. */
const LISTS_ASKED_MAX = 4;
/** How long the lists of others are waited for once there is one to begin with. */
const LIST_WAIT_MS = 250;
/** Lists that a transfer tries; each can cost all bytes once. */
const OPENINGS_MAX = 4;
/** A transfer may take this long, whatever its size… */
const TRANSFER_MS = 300_000;
/** …and longer by its bytes at this speed. */
const BYTES_PER_MS_MIN = 256;

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
      if (planChunks(state, state.phase, nowMs, steps)) planOpening(state, nowMs, steps);
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
  if (hinted) state.findAtMs = nowMs + FIND_FIRST_MS;
  if (nowMs < state.findAtMs) return;
  state.finding = true;
  state.lostSinceFind = false;
  state.findAtMs = nowMs + FIND_AGAIN_MS;
  steps.push({ kind: 'find-sources', until: canAsk(state, nowMs) ? 'everybody' : 'first' });
}

function canAsk({ sources }: TransferState, nowMs: number): boolean {
  return [...sources.values()].some((source) => isAwake(source, nowMs));
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
