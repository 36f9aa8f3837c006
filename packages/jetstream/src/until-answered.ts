import { errors } from '@nats-io/transport-node';
import { pause } from './pause.ts';
import { asking } from './port-error.ts';

/** An election takes as long (NATS.md §0.6), on a machine with much to do several times as long. */
const ANSWERED_MS = 45_000;
const AGAIN_MS = 250;

/** What a starting daemon has to know: servers that are just electing a leader are asked again. */
export async function untilAnswered<T>(what: string, ask: () => Promise<T>): Promise<T> {
  const deadline = performance.now() + ANSWERED_MS;
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      if (!isSilent(error)) throw error;
      if (performance.now() > deadline) return asking(what, () => Promise.reject(error));
    }
    await pause(AGAIN_MS);
  }
}

const isSilent = (error: unknown): boolean =>
  error instanceof errors.TimeoutError ||
  (error instanceof Error && error.name === 'JetStreamNotEnabled');
