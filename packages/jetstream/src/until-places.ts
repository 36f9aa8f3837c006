import type { JetStreamManager } from '@nats-io/jetstream';
import { pause } from './pause.ts';
import { portError } from './port-error.ts';
import { PROBE_STREAM, PROBE_SUBJECT } from './subjects.ts';

const LOOK_MS = 250;
const PLACES_MS = 60_000;

/** Resolves when the servers have room for streams with so many replicas: a cluster takes a while to know its members. */
export async function untilPlaces(jsm: JetStreamManager, replicas: number): Promise<void> {
  const deadline = performance.now() + PLACES_MS;
  for (;;) {
    try {
      await jsm.streams.add({
        name: PROBE_STREAM,
        subjects: [PROBE_SUBJECT],
        num_replicas: replicas,
      });
      await jsm.streams.delete(PROBE_STREAM);
      return;
    } catch (error) {
      if (performance.now() > deadline) throw portError('wait for the servers', error);
      await pause(LOOK_MS);
    }
  }
}
