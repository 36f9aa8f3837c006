import { JetStreamApiError, type JetStreamManager, type StreamInfo } from '@nats-io/jetstream';
import { untilAnswered } from './until-answered.ts';

const STREAM_NOT_FOUND = 10059;

/**
 * What the mesh knows of a stream; undefined where there is none. Asks again while nobody can tell, as right after servers
 * came back, and throws a `PortError` when that lasts.
 */
export function findStream(
  jsm: Pick<JetStreamManager, 'streams'>,
  name: string,
  patienceMs?: number,
): Promise<StreamInfo | undefined> {
  const ask = async (): Promise<StreamInfo | undefined> => {
    try {
      return await jsm.streams.info(name);
    } catch (error) {
      if (error instanceof JetStreamApiError && error.code === STREAM_NOT_FOUND) return undefined;
      throw error;
    }
  };
  return untilAnswered(`look for the stream ${name}`, ask, patienceMs);
}
