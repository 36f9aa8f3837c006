import {
  type Client,
  followRun as followFacts,
  type LoadedRun,
  type LoggedRun,
} from '@podmesh/sdk';
import { runNews } from './run-news.ts';
import type { RunView } from './run-view.ts';

/** Follows a run as the SDK does, and tells its news. */
export function followRun(
  client: Client,
  start: LoggedRun,
  view: RunView,
  signal: AbortSignal,
): Promise<LoadedRun | undefined> {
  const listener = {
    start: view.start.bind(view),
    remark: view.remark.bind(view),
    stop: view.stop.bind(view),
    fact: async (...[logged, state, skippedBefore]: Parameters<typeof runNews>) => {
      const news = runNews(logged, state, skippedBefore);
      if (news !== undefined) await view.tell(news, start.run);
    },
  };
  return followFacts(client, start, listener, signal);
}
