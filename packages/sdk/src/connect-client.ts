import { AnchorBook, connectMesh, followAnchors, openMesh, orderAnchor } from '@podmesh/jetstream';
import type { Client } from './client.ts';

/** Long enough for a server that just starts, short enough for a person who mistyped an address. */
const CONNECT_MS = 5_000;

/**
 * A client over JetStream; `name` is shown to who looks after the server. Throws a `PortError`, or a `TypeError` for
 * what is no address.
 */
export async function connectClient(url: string, name = 'podmesh-sdk'): Promise<Client> {
  const connection = await connectMesh({ url, name, timeoutMs: CONNECT_MS });
  const mesh = openMesh(connection);
  const following = new AbortController();
  void followAnchors(connection, () => undefined, following.signal);
  return {
    runLog: mesh.runLog,
    drives: mesh.drives,
    peers: mesh.peers,
    orders: mesh.orders,
    sleepers: mesh.sleepers,
    artifacts: mesh.everywhere,
    objects: mesh.artifacts,
    shelf: mesh.shelf,
    finder: mesh.finder,
    imageTags: mesh.imageTags,
    liveLog: mesh.liveLog,
    boxes: mesh.boxes,
    anchors: {
      read: () => new AnchorBook(connection).read(),
      change: async (asked, anchors) => {
        await orderAnchor(connection, asked, { kind: 'change', anchors });
      },
      progress: async (asked) =>
        (await orderAnchor(connection, asked, { kind: 'trying', generation: 0 })).told ?? '',
    },
    url: connection.url,
    onConnection: (listener) =>
      connection.onStatus((status) => {
        if (status.kind === 'connected') listener(true);
        if (status.kind === 'disconnected') listener(false);
      }),
    close: async () => {
      following.abort();
      await mesh.stop();
      await connection.close();
    },
  };
}
