import type { MeshConnection } from './mesh-connection.ts';
import { onAbort } from './on-abort.ts';

export interface Hint {
  /** Absent: hints may have been missed while the connection was down. */
  readonly subject?: string;
}

/** More hints than this wait for a slow reader; then the oldest are dropped. */
const HINTS_MAX = 10_000;

/**
 * Messages of a plain subscription, for hints only: what is sent while the connection is down is
 * lost, and a hint without a subject is yielded after every reconnect to say so.
 */
export async function* coreSubscription(
  mesh: MeshConnection,
  subject: string,
  signal: AbortSignal,
): AsyncGenerator<Hint, void, undefined> {
  let hints: Hint[] = [];
  let wake: (() => void) | undefined;
  const add = (hint: Hint): void => {
    hints.push(hint);
    if (hints.length > HINTS_MAX) hints = hints.slice(-HINTS_MAX / 2);
    wake?.();
  };
  const subscription = mesh.nc.subscribe(subject, {
    callback: (error, message) => add(error === null ? { subject: message.subject } : {}),
  });
  const forget = mesh.onStatus((status) => {
    if (status.kind === 'connected') add({});
  });
  const ignoreAbort = onAbort(signal, () => wake?.());
  try {
    while (!signal.aborted) {
      const ready = hints;
      hints = [];
      yield* ready;
      if (hints.length > 0 || signal.aborted) continue;
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  } finally {
    ignoreAbort();
    forget();
    subscription.unsubscribe();
  }
}
