import { systemClock } from '@podmesh/transfer';

/** Ctrl-C reaches a daemon from its terminal, and from the command that passes it on: that is one. */
const SAME_MS = 500;
/** What a shell expects of a program that a signal ended. */
const SIGNALLED = 130;

/** How this process was asked to end. */
export interface StopSignals {
  /** In peace. */
  readonly stop: AbortSignal;
  /** Somebody asked a second time: without waiting for what runs. */
  readonly atOnce: AbortSignal;
}

/** Listens from now on; whoever asks a third time ends the process where it stands. */
export function stopSignals(): StopSignals {
  const asked = [new AbortController(), new AbortController()] as const;
  let lastMs = Number.NEGATIVE_INFINITY;
  const hear = (): void => {
    const nowMs = systemClock.nowMs();
    const isSame = nowMs - lastMs < SAME_MS;
    lastMs = nowMs;
    if (isSame) return;
    const next = asked.find(({ signal }) => !signal.aborted);
    if (next === undefined) process.exit(SIGNALLED);
    next.abort();
  };
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, hear);
  return { stop: asked[0].signal, atOnce: asked[1].signal };
}
