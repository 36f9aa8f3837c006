import type { MeshConnection } from './mesh-connection.ts';
import { asking } from './port-error.ts';
import { DRIVE_STREAM, OFFER_STREAM } from './subjects.ts';

/** Messages in the work queues of the mesh, waiting or claimed. */
export interface QueueDepths {
  /** Tasks that nobody runs yet, or whose attempts are not settled. */
  readonly offers: number;
  /** Runs that are not over. */
  readonly drives: number;
}

/** Two requests; throws a `PortError` when the mesh does not answer. */
export async function queueDepths({ jsm }: MeshConnection): Promise<QueueDepths> {
  const [offers, drives] = await asking('count what is queued', () =>
    Promise.all([jsm.streams.info(OFFER_STREAM), jsm.streams.info(DRIVE_STREAM)]),
  );
  return { offers: offers.state.messages, drives: drives.state.messages };
}
