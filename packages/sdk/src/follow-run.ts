import {
  applyEvent,
  type Logged,
  type RunState,
  unsettledCount,
  waitsForPerson,
} from '@podmesh/core';
import { type Client, type MeshReach, REACH_TEXTS } from './client.ts';
import { type LoadedRun, type LoggedRun, loadRun } from './load-run.ts';

/** Who is told what happens while a run is followed. */
export interface RunListener {
  start(state: RunState): void;
  /** After the fact was folded into the state of the run; `skippedBefore` is the count of before. */
  fact(logged: Logged, state: RunState, skippedBefore: number): Promise<void>;
  /** Something beside the run itself, such as a lost connection. */
  remark(text: string): void;
  /** Harmless when called twice. */
  stop(): void;
}

/**
 * Follows a run from where `start` has folded it to its end, or until nothing happens in it before a
 * person acts (`waitsForPerson`); undefined when `signal` aborted first. Connections may break and come back meanwhile: the listener is told, the run goes on anyway.
 */
export async function followRun(
  client: Client,
  start: LoggedRun,
  listener: RunListener,
  signal: AbortSignal,
): Promise<LoadedRun | undefined> {
  if (start.state.ended !== undefined || waitsForPerson(start.state)) return start;
  const forget = client.onReach((reach) => listener.remark(reachText(reach)));
  // Leaving the loop must also end what is behind the iterator.
  const over = new AbortController();
  listener.start(start.state);
  try {
    const either = AbortSignal.any([signal, over.signal]);
    return await follow(client, start, listener, either);
  } finally {
    over.abort();
    forget();
    listener.stop();
  }
}

async function follow(
  client: Client,
  start: LoggedRun,
  listener: RunListener,
  signal: AbortSignal,
): Promise<LoadedRun | undefined> {
  const { run, published, state } = start;
  let { publishedAt } = start;
  for await (const batch of client.runLog.follow(run, state.sequence, signal)) {
    for (const logged of batch) {
      const { event, at } = logged;
      if (event.kind === 'run-published') publishedAt = at;
      if (event.kind !== 'run-ended') {
        await foldAndTell(logged, start, listener);
        continue;
      }
      // Purged while we were away: what we have folded has holes, the record has not.
      if (unsettledCount(state) > 0) return loadRun(client, run);
      applyEvent(state, logged);
      return { kind: 'logged', run, published, publishedAt, endedAt: at, state };
    }
    // Not before all of a batch is folded: the release may be in it.
    if (waitsForPerson(state)) {
      return { kind: 'logged', run, published, publishedAt, endedAt: undefined, state };
    }
  }
  return undefined;
}

async function foldAndTell(
  logged: Logged,
  { state }: LoggedRun,
  listener: RunListener,
): Promise<void> {
  const { skipped } = state.counts;
  applyEvent(state, logged);
  await listener.fact(logged, state, skipped);
}

function reachText(reach: MeshReach): string {
  const more = '; the run goes on without us, waiting until it is back';
  return `${REACH_TEXTS[reach]}${reach === 'away' ? more : ''}`;
}
