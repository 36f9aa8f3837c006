import { describeMesh, type MeshBench } from '@podmesh/testkit/conformance';
import { connectMesh } from './connect-mesh.ts';
import { openMesh } from './open-mesh.ts';
import { TcpProxy } from './tcp-proxy.test-kit.ts';
import { TestServer } from './test-server.test-kit.ts';

/**
 * Shortened alike, so that a lease is still given up before the queue gives it away; and no shorter, as
 * a busy machine's pauses must not end one.
 */
const TIMES = {
  leaseMs: 4_000,
  leaseExtendMs: 400,
  leaseGiveUpMs: 3_200,
  relay: { stallMs: 2_000, partMs: 700 },
};
const PEER_TTL_MS = 4_000;

describeMesh('JetStream', async (): Promise<MeshBench> => {
  const server = await TestServer.start();
  const proxy = await TcpProxy.start(server.port);
  const url = `nats://secret@127.0.0.1:${proxy.port}`;
  const connections = [
    await connectMesh({ url, name: 'ports', timeoutMs: 20_000 }),
    await server.connect('other'),
  ] as const;
  await connections[1].ensureStreams({ replicas: 1, peerTtlMs: PEER_TTL_MS });
  const meshes = [openMesh(connections[0], TIMES), openMesh(connections[1], TIMES)] as const;
  return {
    ports: { ...meshes[0], log: meshes[0].runLog },
    other: { ...meshes[1], log: meshes[1].runLog },
    leaseMs: TIMES.leaseMs,
    cutOff: async () => proxy.cut(),
    dispose: async () => {
      for (const mesh of meshes) await mesh.stop();
      for (const connection of connections) await connection.close();
      proxy.cut();
      await server.remove();
    },
  };
});
