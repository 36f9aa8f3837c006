import type { Clock, Graph, RunId, RunLog, RunPublished } from '@podmesh/core';
import type { Logger } from 'pino';
import { RunFeed } from './run-feed.ts';
import { FEED_LINGER_MS } from './task-api-limits.ts';

export interface RunFeedParts {
  readonly log: Pick<RunLog, 'read' | 'follow'>;
  readonly loadGraph: (published: RunPublished) => Promise<Graph>;
  readonly clock: Clock;
  readonly logger: Logger;
}

interface Entry {
  readonly feed: RunFeed;
  users: number;
  /** Set while nobody uses it. */
  lingering: NodeJS.Timeout | undefined;
}

/** The runs that tasks of this peer wait in, each followed once; let go a while after the last one asked. */
export class RunFeeds {
  readonly #parts: RunFeedParts;
  readonly #entries = new Map<RunId, Entry>();

  constructor(parts: RunFeedParts) {
    this.#parts = parts;
  }

  /** The run is followed at least as long as `use` goes on. */
  async with<T>(run: RunId, use: (feed: RunFeed) => Promise<T>): Promise<T> {
    const entry = this.#entries.get(run) ?? this.#open(run);
    clearTimeout(entry.lingering);
    entry.lingering = undefined;
    entry.users += 1;
    try {
      return await use(entry.feed);
    } finally {
      entry.users -= 1;
      if (entry.users === 0) this.#linger(run, entry);
    }
  }

  async stop(): Promise<void> {
    const entries = [...this.#entries.values()];
    this.#entries.clear();
    for (const { lingering } of entries) clearTimeout(lingering);
    await Promise.all(entries.map(({ feed }) => feed.stop()));
  }

  #open(run: RunId): Entry {
    const entry: Entry = { feed: new RunFeed(this.#parts, run), users: 0, lingering: undefined };
    this.#entries.set(run, entry);
    entry.feed.start();
    return entry;
  }

  #linger(run: RunId, entry: Entry): void {
    if (this.#entries.get(run) !== entry) return;
    entry.lingering = setTimeout(() => {
      this.#entries.delete(run);
      void entry.feed.stop();
    }, FEED_LINGER_MS).unref();
  }
}
