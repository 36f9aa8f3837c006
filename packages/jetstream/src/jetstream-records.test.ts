import { afterAll, beforeAll, expect, test } from 'vitest';
import { connectMesh } from './connect-mesh.ts';
import { JetStreamRecords } from './jetstream-records.ts';
import type { MeshConnection } from './mesh-connection.ts';
import { TcpProxy } from './tcp-proxy.test-kit.ts';
import { TestServer } from './test-server.test-kit.ts';

interface Note {
  readonly by: string;
}

let server: TestServer;
let proxy: TcpProxy;
let mesh: MeshConnection;

beforeAll(async () => {
  server = await TestServer.start();
  proxy = await TcpProxy.start(server.port);
  const url = server.url.replace(`:${server.port}`, `:${proxy.port}`);
  mesh = await connectMesh({ url, name: 'test', timeoutMs: 20_000 });
  await mesh.ensureStreams({ replicas: 1 });
});

afterAll(async () => {
  await mesh.close();
  proxy.cut();
  await server.remove();
});

test('a record whose answer was lost is written once, and that is told', async () => {
  const records = JetStreamRecords.invitations<Note>(mesh);
  proxy.breakAfter(1);
  expect(await records.write('inv-1', { by: 'ann' }, 0)).toBe(true);
  expect(await records.find('inv-1')).toEqual({ value: { by: 'ann' }, revision: 1 });
});

test('who comes second is told, also when nobody answered at first', async () => {
  const records = JetStreamRecords.invitations<Note>(mesh);
  expect(await records.write('inv-1', { by: 'bob' }, 0)).toBe(false);
  const direct = await server.connect('other');
  const revision = (await records.find('inv-1'))?.revision ?? 0;
  await JetStreamRecords.invitations<Note>(direct).write('inv-1', { by: 'cid' }, revision);
  proxy.breakAfter(1);
  expect(await records.write('inv-1', { by: 'bob' }, revision)).toBe(false);
  expect((await records.find('inv-1'))?.value).toEqual({ by: 'cid' });
  await direct.close();
});
