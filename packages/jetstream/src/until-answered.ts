import { jittered, pause } from './pause.ts';
import { portError } from './port-error.ts';

/** Servers that have just found each other again need up to a minute until every stream has a leader. */
const PATIENCE_MS = 60_000;
const RETRY_MS = 250;

/** Asks again while nobody can tell, as where servers just elect a leader. Throws a `PortError`, also when that lasts. */
export async function untilAnswered<T>(
  what: string,
  ask: () => Promise<T>,
  patienceMs = PATIENCE_MS,
): Promise<T> {
  const deadline = performance.now() + patienceMs;
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      const failure = portError(what, error);
      if (!failure.retryable || performance.now() >= deadline) throw failure;
      await pause(jittered(RETRY_MS));
    }
  }
}
