import { setTimeout as pause } from 'node:timers/promises';

/** What this daemon sends to end a container. */
export type OwnSignal = 'SIGTERM' | 'SIGKILL';

const EXIT_CODE_OF: Record<OwnSignal, number> = { SIGTERM: 143, SIGKILL: 137 };

/** Which of the signals that were sent an exit code tells of: others may have sent the same, or the command chosen the code. */
export function signalBehind(code: number, sent: ReadonlySet<OwnSignal>): OwnSignal | undefined {
  return [...sent].find((name) => EXIT_CODE_OF[name] === code);
}

/** Whether what is waited for came in that time, or failed. */
export async function settlesWithin(wait: Promise<unknown>, ms: number): Promise<boolean> {
  const abort = new AbortController();
  const settled = () => true;
  try {
    return await Promise.race([
      wait.then(settled, settled),
      pause(ms, false, { signal: abort.signal }),
    ]);
  } finally {
    abort.abort();
  }
}
