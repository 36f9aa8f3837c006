import { folderOfMeshUrl, MeshFolder, memberAddress } from '@podmesh/authority';
import {
  connectMesh,
  type MeshConnection,
  noteSeen,
  openMesh,
  watchStandstill,
} from '@podmesh/jetstream';
import type { Client, MeshReach } from './client.ts';

/** Long enough for a server that just starts, short enough for a person who mistyped an address. */
const CONNECT_MS = 5_000;

/**
 * A client over JetStream; `url`: `nats://…`, or `mesh:FOLDER` of a member, which connects as its user; `name` is shown to who looks after the server. Throws a `PortError`, or a `TypeError` for
 * what is no address, or a `NotAMemberError`.
 */
export async function connectClient(url: string, name = 'podmesh-sdk'): Promise<Client> {
  const folder = folderOfMeshUrl(url);
  const address =
    folder === undefined ? url : await memberAddress(new MeshFolder(folder), ['user']);
  const connection = await connectMesh({ url: address, name, timeoutMs: CONNECT_MS });
  const mesh = openMesh(connection);
  const { member } = connection;
  // In no hurry: who closes the connection waits for what was sent.
  if (member !== undefined) void noteSeen(connection, member).catch(() => undefined);
  return {
    runLog: mesh.runLog,
    drives: mesh.drives,
    peers: mesh.peers,
    orders: mesh.orders,
    sleepers: mesh.sleepers,
    members: mesh.members,
    artifacts: mesh.everywhere,
    objects: mesh.artifacts,
    shelf: mesh.shelf,
    finder: mesh.finder,
    imageTags: mesh.imageTags,
    liveLog: mesh.liveLog,
    boxes: mesh.boxes,
    url: connection.url,
    onReach: (listener) => watchReach(connection, listener),
    close: async () => {
      await mesh.stop();
      await connection.close();
    },
  };
}

function watchReach(connection: MeshConnection, listener: (reach: MeshReach) => void): () => void {
  const over = new AbortController();
  const tell = (standsStill: boolean): void => listener(standsStill ? 'stands-still' : 'here');
  void watchStandstill(connection, tell, over.signal);
  const forget = connection.onStatus((status) => {
    if (status.kind === 'connected') listener('here');
    if (status.kind === 'disconnected') listener('away');
    if (status.kind === 'closed') over.abort();
  });
  return () => {
    over.abort();
    forget();
  };
}
