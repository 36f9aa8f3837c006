import { setTimeout as pause } from 'node:timers/promises';
import { folderOfMeshUrl, MeshFolder, memberAddress } from '@podmesh/authority';
import type { AnchorRecord } from '@podmesh/core';
import {
  AnchorBook,
  askToRenew,
  connectMesh,
  followAnchors,
  MeshArtifacts,
  type MeshConnection,
  noteSeen,
  openMesh,
  watchStandstill,
} from '@podmesh/jetstream';
import type { OwnCertificate } from '@podmesh/transfer';
import type { Client, MeshReach } from './client.ts';
import { Downloads } from './downloads.ts';
import { PeerTransport } from './peer-transport.ts';
import { renewUser } from './renew-user.ts';

/** Long enough for a server that just starts, short enough for a person who mistyped an address. */
const CONNECT_MS = 5_000;
/** Whoever holds the keys of the mesh answers within so long, or is not there. */
const RENEW_MS = 3_000;

/**
 * A client over JetStream; `url`: `nats://…`, or `mesh:FOLDER` of a member, which connects as its user; `name` is shown to who looks after the server. Throws a `PortError`, or a `TypeError` for
 * what is no address, or a `NotAMemberError`.
 */
export async function connectClient(url: string, name = 'podmesh-sdk'): Promise<Client> {
  const folder = folderOfMeshUrl(url);
  const member = folder === undefined ? undefined : new MeshFolder(folder);
  const address = member === undefined ? url : await memberAddress(member, ['user']);
  const own = await ownCertificate(member);
  const connection = await connectMesh({ url: address, name, timeoutMs: CONNECT_MS });
  const mesh = openMesh(connection);
  const transport = new PeerTransport({ ...mesh, own });
  // In no hurry: who closes the connection waits for what was sent.
  if (connection.member !== undefined)
    void noteSeen(connection, connection.member).catch(() => undefined);
  const { member: self } = connection;
  const ask = (request: Uint8Array) => askToRenew(connection, 'user', request);
  const renewing =
    member === undefined || self === undefined
      ? Promise.resolve(false)
      : renewUser({ folder: member, self, ask, now: Date.now }).catch(() => false);
  const following = new AbortController();
  const remember = (record: AnchorRecord): void => {
    // Who only reads this folder uses what it knew before.
    void member?.setAnchors(record).catch(() => undefined);
  };
  void followAnchors(connection, remember, following.signal);
  return {
    runLog: mesh.runLog,
    drives: mesh.drives,
    peers: mesh.peers,
    orders: mesh.orders,
    sleepers: mesh.sleepers,
    members: mesh.members,
    artifacts: new MeshArtifacts({ objects: mesh.artifacts, finder: mesh.finder, transport }),
    downloads: (folder) => new Downloads(folder, { ...mesh, own }),
    objects: mesh.artifacts,
    shelf: mesh.shelf,
    finder: mesh.finder,
    imageTags: mesh.imageTags,
    liveLog: mesh.liveLog,
    boxes: mesh.boxes,
    anchors: { read: () => new AnchorBook(connection).read() },
    url: connection.url,
    onReach: (listener) => watchReach(connection, listener),
    close: async () => {
      following.abort();
      // It is tried again by every command: nobody is kept waiting for it.
      await Promise.race([renewing, pause(RENEW_MS, undefined, { ref: false })]);
      await Promise.all([transport.stop(), mesh.stop()]);
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

/** What peers let this home in with; undefined in a mesh without certificates. */
async function ownCertificate(member: MeshFolder | undefined): Promise<OwnCertificate | undefined> {
  const { ca, certificate: cert, key } = (await member?.certificates()) ?? {};
  if (ca === undefined || cert === undefined || key === undefined) return undefined;
  return { ca, cert, key };
}
