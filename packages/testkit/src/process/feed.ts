import type { FakeProcess } from './fake-process.ts';
import { Inbox } from './inbox.ts';
import type { Topic } from './topic.ts';

/** A subscription: where its items come from, and what may happen to them on the way. */
export interface FeedSource<T> {
  readonly label: string;
  /** Says that `next` may have something. */
  readonly topic: Topic;
  /** The next item of this subscriber, or `undefined` for the time being. */
  readonly next: () => T | undefined;
  readonly lossy?: boolean;
  readonly silence?: boolean;
}

/**
 * What the server pushes to one subscriber, in order: one item is on its way at a time, so that random
 * latencies and silences cannot reorder them. Ends only with the signal.
 */
export async function* feed<T>(
  process: FakeProcess,
  source: FeedSource<T>,
  signal: AbortSignal,
): AsyncGenerator<T> {
  const inbox = new Inbox<T>();
  let inFlight = false;
  const push = () => {
    while (!inFlight && !inbox.closed) {
      const item = source.next();
      if (item === undefined) return;
      inFlight = process.receive({
        label: source.label,
        lossy: source.lossy ?? false,
        silence: source.silence ?? false,
        action: () => {
          inFlight = false;
          inbox.push(item);
          push();
        },
      });
    }
  };
  const unsubscribe = source.topic.subscribe(push);
  const forget = process.onDeath(unsubscribe);
  try {
    push();
    yield* inbox.until(signal);
  } finally {
    unsubscribe();
    forget();
  }
}
