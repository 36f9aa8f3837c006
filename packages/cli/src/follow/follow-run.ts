import { applyEvent, type Logged, unsettledCount, waitsForPerson } from '@podmesh/core';
import type { Client } from '../mesh/client.ts';
import { type LoadedRun, type LoggedRun, loadRun } from '../mesh/load-run.ts';
import { runNews } from './run-news.ts';
import type { RunView } from './run-view.ts';

/**
 * Follows a run from where `start` has folded it to its end, or until nothing happens in it before a
 * person acts (`waitsForPerson`); undefined when `signal` aborted first. Connections may break and come back meanwhile: the view is told, the run goes on anyway.
 */
export async function followRun(
  client: Client,
  start: LoggedRun,
  view: RunView,
  signal: AbortSignal,
): Promise<LoadedRun | undefined> {
  if (start.state.ended !== undefined || waitsForPerson(start.state)) return start;
  const forget = client.onConnection((connected) => view.remark(connectionText(connected)));
  // Leaving the loop must also end what is behind the iterator.
  const over = new AbortController();
  view.start(start.state);
  try {
    const either = AbortSignal.any([signal, over.signal]);
    return await follow(client, start, view, either);
  } finally {
    over.abort();
    forget();
    view.stop();
  }
}

async function follow(
  client: Client,
  start: LoggedRun,
  view: RunView,
  signal: AbortSignal,
): Promise<LoadedRun | undefined> {
  const { run, published, state } = start;
  let { publishedAt } = start;
  for await (const batch of client.runLog.follow(run, state.sequence, signal)) {
    for (const logged of batch) {
      const { event, at } = logged;
      if (event.kind === 'run-published') publishedAt = at;
      if (event.kind !== 'run-ended') {
        await foldAndTell(logged, start, view);
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
  { run, state }: LoggedRun,
  view: RunView,
): Promise<void> {
  const { skipped } = state.counts;
  applyEvent(state, logged);
  const news = runNews(logged, state, skipped);
  if (news !== undefined) await view.tell(news, run);
}

function connectionText(connected: boolean): string {
  return connected
    ? 'the mesh is back'
    : 'lost the connection to the mesh; the run goes on without us, waiting until it is back';
}
