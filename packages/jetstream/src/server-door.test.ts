import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { MeshConnection } from './mesh-connection.ts';
import { ServerDoor } from './server-door.ts';
import { TestServer } from './test-server.test-kit.ts';

let server: TestServer;
let mesh: MeshConnection;
let inside: Server;
let stop: AbortController;

beforeEach(async () => {
  server = await TestServer.start();
  mesh = await server.connect();
  stop = new AbortController();
  const door = new ServerDoor(mesh);
  inside = createServer((socket) => door.letIn(socket, stop.signal));
  inside.listen(0, '127.0.0.1');
  await once(inside, 'listening');
});

afterEach(async () => {
  stop.abort();
  inside.close();
  await mesh.close();
  await server.remove();
});

async function enter(): Promise<{ socket: Socket; until: (word: string) => Promise<string> }> {
  const address = inside.address();
  if (address === null || typeof address === 'string') throw new Error('not listening');
  const socket = connect(address.port, '127.0.0.1');
  socket.on('error', () => undefined);
  let said = '';
  socket.on('data', (piece) => {
    said += piece.toString();
  });
  const until = async (word: string): Promise<string> => {
    while (!said.includes(word)) await once(socket, 'data');
    return said;
  };
  return { socket, until };
}

test('a client inside proves itself to the server, and speaks with it', async () => {
  const { socket, until } = await enter();
  const info = await until('\r\n');
  expect(info).toMatch(/^INFO \{.*"max_payload":/);
  expect(info).not.toContain('connect_urls');
  socket.write(
    'CONNECT {"auth_token":"secret","verbose":false}\r\nSUB a 1\r\nPUB a 2\r\nhi\r\nPING\r\n',
  );
  expect(await until('PONG')).toContain('MSG a 1 2\r\nhi');
});

test('a client that proves nothing is sent away by the server', async () => {
  const { socket, until } = await enter();
  const closed = once(socket, 'close');
  socket.write('CONNECT {"auth_token":"guessed","verbose":false}\r\nPING\r\n');
  expect(await until('-ERR')).toContain('Authorization Violation');
  await closed;
});

test('nothing passes when the attempt is over, or the server gone', async () => {
  const [one, two] = [await enter(), await enter()];
  await Promise.all([one.until('\r\n'), two.until('\r\n')]);
  const closed = [one, two].map(({ socket }) => once(socket, 'close'));
  stop.abort();
  await Promise.all(closed);
  const late = await enter();
  await once(late.socket, 'close');
  stop = new AbortController();
  await server.kill();
  const lonely = await enter();
  await once(lonely.socket, 'close');
});
