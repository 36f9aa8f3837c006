import { JetStreamApiError, type JetStreamManager, type StreamInfo } from '@nats-io/jetstream';
import { jittered, pause } from './pause.ts';
import { portError } from './port-error.ts';

const STREAM_NOT_FOUND = 10059;
/** Servers that have just found each other again need up to a minute until every stream has a leader. */
const PATIENCE_MS = 60_000;
const RETRY_MS = 250;

/**
 * What the mesh knows of a stream; undefined where there is none. Asks again while nobody can tell, as right after servers
 * came back, and throws a `PortError` when that lasts.
 */
export async function findStream(
  jsm: Pick<JetStreamManager, 'streams'>,
  name: string,
  patienceMs = PATIENCE_MS,
): Promise<StreamInfo | undefined> {
  const deadline = performance.now() + patienceMs;
  for (;;) {
    try {
      return await jsm.streams.info(name);
    } catch (error) {
      if (error instanceof JetStreamApiError && error.code === STREAM_NOT_FOUND) return undefined;
      const failure = portError(`look for the stream ${name}`, error);
      if (!failure.retryable || performance.now() >= deadline) throw failure;
      await pause(jittered(RETRY_MS));
    }
  }
}
