import { once } from 'node:events';
import { connect, createServer, type Server } from 'node:net';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { connectMesh } from './connect-mesh.ts';
import { MeshUnreachableError } from './mesh-errors.ts';
import { nearestFirst } from './nearest-first.ts';
import { TestServer } from './test-server.test-kit.ts';

let server: TestServer;
beforeAll(async () => {
  server = await TestServer.start();
});
afterAll(() => server.remove());

async function addressOf(listener: Server): Promise<string> {
  listener.listen(0, '127.0.0.1');
  onTestFinished(() => void listener.close());
  await once(listener, 'listening');
  const address = listener.address();
  return typeof address === 'object' ? `127.0.0.1:${address?.port}` : '';
}

/** Of a machine that was frozen: the kernel takes connections, and nobody speaks. */
const frozen = (): Promise<string> =>
  addressOf(createServer((socket) => void socket.on('error', () => undefined)));

/** The real server, which hears what the first so many connections say to it never. */
function deafTo(connections: number): Promise<string> {
  let count = 0;
  return addressOf(
    createServer((near) => {
      count += 1;
      const far = connect(server.port, '127.0.0.1');
      for (const [one, other] of [
        [near, far],
        [far, near],
      ] as const)
        one.on('error', () => undefined).on('close', () => other.destroy());
      far.pipe(near);
      if (count > connections) near.pipe(far);
    }),
  );
}

test('goes to the server that speaks, however many of the others are gone', async () => {
  const gone = await Promise.all([frozen(), frozen(), frozen(), frozen()]);
  const url = [...gone, server.url].join(',');
  const mesh = await connectMesh({ url, name: 'x' });
  expect(mesh.isConnected).toBe(true);
  await mesh.close();
});

test('puts that server in front and forgets none', async () => {
  const gone = [await frozen(), await frozen()];
  const speaks = `127.0.0.1:${server.port}`;
  const { signal } = new AbortController();
  const found = (await nearestFirst([...gone, speaks], signal)) ?? [];
  expect(found[0]).toBe(speaks);
  expect([...found].sort()).toEqual([...gone, speaks].sort());
});

test('nobody is in front where nobody speaks in time', async () => {
  const silent = [await frozen(), await frozen()];
  expect(await nearestFirst(silent, AbortSignal.timeout(200))).toBeUndefined();
  expect(await nearestFirst(silent, AbortSignal.abort())).toBeUndefined();
});

test('a server that speaks but is slow to let anybody in is waited for', async () => {
  // Greetings, and tries that the server gives up after 2 s and the client after 3: too long for the time that is given.
  const slow = await deafTo(8);
  const gone = await frozen();
  const url = server.url.replace(/[^@]*$/, `${slow},${gone}`);
  const mesh = await connectMesh({ url, name: 'x', timeoutMs: 5_000 });
  expect(mesh.isConnected).toBe(true);
  await mesh.close();
});

test('where nobody listens, the answer comes when it was asked for', async () => {
  const listener = createServer();
  const address = await addressOf(listener);
  listener.close();
  await once(listener, 'close');
  const failed = connectMesh({ url: address, name: 'x', timeoutMs: 300 });
  await expect(failed).rejects.toThrow(MeshUnreachableError);
});
