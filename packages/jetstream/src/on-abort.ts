import { setMaxListeners } from 'node:events';

/**
 * Calls `act` when the signal aborts, at once if it has, until the returned function is called. One
 * signal may end hundreds of waits, so Node's warning about many listeners is switched off for it.
 */
export function onAbort(signal: AbortSignal | undefined, act: () => void): () => void {
  if (signal === undefined) return () => undefined;
  if (signal.aborted) act();
  setMaxListeners(0, signal);
  signal.addEventListener('abort', act, { once: true });
  return () => signal.removeEventListener('abort', act);
}
