import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { listenInContainer } from './container-port.ts';
import { openTestbed, type Testbed } from './container-testbed.test-kit.ts';

const PORT = 14_222;

let bed: Testbed;
beforeAll(async () => {
  bed = await openTestbed();
});
afterAll(() => bed.close());

function greeting(word: string): (socket: Socket) => void {
  return (socket) => {
    socket.on('error', () => undefined);
    socket.end(word);
  };
}

it('a container reaches what listens on its own loopback, from its first command on', async () => {
  const listening: Server[] = [];
  const onReady = async (pid: number) => {
    const server = await listenInContainer(pid, PORT);
    server.on('connection', greeting('let in'));
    listening.push(server);
  };
  const command = ['nc', '127.0.0.1', String(PORT)];
  const [one, two] = await Promise.all([
    bed.run({ command, net: true, onReady }),
    bed.run({ command, net: true, onReady }),
  ]);
  expect([one.out, two.out]).toEqual(['let in', 'let in']);
  for (const server of listening) server.close();
});

it('nothing else of this machine listens there, nor does another container', async () => {
  const host = createServer(greeting('the machine'));
  host.listen(0, '127.0.0.1');
  await once(host, 'listening');
  const { port } = host.address() as AddressInfo;
  const listening: Server[] = [];
  const onReady = async (pid: number) => {
    const server = await listenInContainer(pid, PORT);
    server.on('connection', greeting('let in'));
    listening.push(server);
  };
  // Where rootless networks put the machine, when they are told to.
  const ask = (to: string) => `echo | timeout 2 nc ${to} 2>/dev/null`;
  const places = [`127.0.0.1 ${port}`, `10.0.2.2 ${port}`, `host.containers.internal ${port}`];
  const command = ['/bin/sh', '-c', `${places.map(ask).join('; ')}; echo looked`];
  try {
    expect((await bed.run({ command, net: true, onReady })).out).toBe('looked\n');
    const other = ['/bin/sh', '-c', `${ask(`127.0.0.1 ${PORT}`)}; echo looked`];
    expect((await bed.run({ command: other, net: true })).out).toBe('looked\n');
  } finally {
    for (const server of [host, ...listening]) server.close();
  }
});

it('says why it cannot: the port is taken, or there is no such container', async () => {
  const problems: string[] = [];
  const onReady = async (pid: number) => {
    const server = await listenInContainer(pid, PORT);
    await listenInContainer(pid, PORT).catch((error: Error) => problems.push(error.message));
    server.close();
  };
  await bed.run({ command: ['true'], net: true, onReady });
  expect(problems).toEqual([expect.stringMatching(/14222 of a container.*EADDRINUSE/)]);
  await expect(listenInContainer(2 ** 22 + 1, PORT)).rejects.toThrow(/ENOENT/);
});

it('tells a process of a container that was found again', async () => {
  const container = await bed.start({ command: ['sleep', '60'], net: true });
  const [found] = await bed.runtime.leftovers(bed.peer);
  expect(await found?.pid?.()).toBe(await container.pid?.());
  await container.remove();
  expect(await found?.pid?.()).toBeUndefined();
});
