import type { JetStreamClient, JetStreamManager, PurgeResponse } from '@nats-io/jetstream';
import type { MeshConnection } from './mesh-connection.ts';

/**
 * The client that objects are written with. After a failure it would empty what it has written of the object, which only
 * keepers of the mesh may, and the refusal would hide why it failed: without the right, nothing is emptied, and the
 * sweep of the object store finds what is left.
 */
export function objectWriter(mesh: MeshConnection): JetStreamClient {
  if (mesh.isKeeper) return mesh.js;
  const purge = async (): Promise<PurgeResponse> => ({ success: true, purged: 0 });
  const streams = Object.create(mesh.jsm.streams, { purge: { value: purge } });
  const manager: JetStreamManager = Object.create(mesh.jsm, { streams: { value: streams } });
  return Object.create(mesh.js, { jetstreamManager: { value: async () => manager } });
}
