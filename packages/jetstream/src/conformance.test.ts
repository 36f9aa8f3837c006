import type { RunEvent, RunLog } from '@podmesh/core';
import { describeMesh, type MeshBench } from '@podmesh/testkit/conformance';
import { connectMesh } from './connect-mesh.ts';
import type { MeshConnection } from './mesh-connection.ts';
import { openMesh } from './open-mesh.ts';
import { rolePermissions } from './permissions.ts';
import { TcpProxy } from './tcp-proxy.test-kit.ts';
import { TestServer } from './test-server.test-kit.ts';

/**
 * Shortened alike, so that a lease is still given up before the queue gives it away; and no shorter, as
 * a busy machine's pauses must not end one.
 */
const TIMES = {
  leaseMs: 5_000,
  leaseExtendMs: 400,
  leaseGiveUpMs: 2_500,
  relay: { stallMs: 2_000, partMs: 700 },
};
const PEER_TTL_MS = 4_000;

describeMesh('JetStream', async (): Promise<MeshBench> => {
  const server = await TestServer.start();
  const proxy = await TcpProxy.start(server.port);
  const one = await connectMesh({
    url: `nats://secret@127.0.0.1:${proxy.port}`,
    name: 'ports',
    timeoutMs: 20_000,
  });
  const other = await server.connect('other');
  await other.ensureStreams({ replicas: 1, peerTtlMs: PEER_TTL_MS });
  return bench(server, proxy, [one, other]);
});

describeMesh('JetStream, as peers with credentials', async (): Promise<MeshBench> => {
  const server = await TestServer.startTrusted(anyPeersName());
  const proxy = await TcpProxy.start(server.port);
  const anchor = await connectMesh({ url: await server.address('anchor', 'maker'), name: 'maker' });
  await anchor.ensureStreams({ replicas: 1, peerTtlMs: PEER_TTL_MS });
  const url = await server.address('peer', 'one', proxy.port);
  const one = await connectMesh({ url, name: 'one', timeoutMs: 20_000 });
  const other = await connectMesh({ url: await server.address('peer', 'other'), name: 'other' });
  const publisher = await server.address('user', 'ann', proxy.port);
  const user = await connectMesh({ url: publisher, name: 'ann', timeoutMs: 20_000 });
  return bench(server, proxy, [one, other], { user, anchor });
});

/** The suites make up names of peers as they go: here a peer may speak for any of them, and nothing else is wider. */
function anyPeersName(): ReturnType<typeof rolePermissions> {
  const roles = rolePermissions();
  const wide = (subjects: readonly string[]): readonly string[] =>
    subjects.map((subject) =>
      subject.replace(/^(\$KV\.pm-peers|pm\.keep|pm\.relay|pm\.order)\..*$/, '$1.*'),
    );
  const { publish, subscribe } = roles.peer;
  return { ...roles, peer: { publish: wide(publish), subscribe: wide(subscribe) } };
}

/** What peers may not write is written by the user. */
function byRole(peer: RunLog, user: RunLog | undefined): RunLog {
  if (user === undefined) return peer;
  const usersFacts: readonly RunEvent['kind'][] = ['run-published', 'run-cancel-requested'];
  return {
    append: (event, expected) =>
      (usersFacts.includes(event.kind) ? user : peer).append(event, expected),
    lastOfTask: (run, task) => peer.lastOfTask(run, task),
    read: (run, signal) => user.read(run, signal),
    follow: (run, after, signal) => peer.follow(run, after, signal),
    runs: () => user.runs(),
    cancellations: (signal) => peer.cancellations(signal),
    isOver: (run) => peer.isOver(run),
  };
}

function bench(
  server: TestServer,
  proxy: TcpProxy,
  connections: readonly [MeshConnection, MeshConnection],
  others?: { readonly user: MeshConnection; readonly anchor: MeshConnection },
): MeshBench {
  const meshes = [openMesh(connections[0], TIMES), openMesh(connections[1], TIMES)] as const;
  const publisher = others === undefined ? undefined : openMesh(others.user, TIMES);
  const keeper = others === undefined ? undefined : openMesh(others.anchor, TIMES);
  // Only anchors remove anything.
  const kept = keeper === undefined ? {} : { shelf: keeper.shelf, retention: keeper.retention };
  return {
    ports: { ...meshes[0], ...kept, log: byRole(meshes[0].runLog, publisher?.runLog) },
    other: { ...meshes[1], ...kept, log: byRole(meshes[1].runLog, publisher?.runLog) },
    leaseMs: TIMES.leaseMs,
    cutOff: async () => proxy.cut(),
    dispose: async () => {
      for (const mesh of meshes) await mesh.stop();
      await publisher?.stop();
      await keeper?.stop();
      await others?.user.close();
      await others?.anchor.close();
      for (const connection of connections) await connection.close();
      proxy.cut();
      await server.remove();
    },
  };
}
