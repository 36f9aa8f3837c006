import { writeFile } from 'node:fs/promises';
import { createServer, type ServerResponse } from 'node:http';
import { onTestFinished } from 'vitest';
import type { FakeWorld } from '../fake-world.test-kit.ts';
import { livingChild } from './child.test-kit.ts';

/** What was asked of the daemon. */
export interface AskedOfDaemon {
  readonly method: string;
  readonly path: string;
  readonly body: unknown;
}

export type FakeAnswer = (asked: AskedOfDaemon, response: ServerResponse) => void;

/** A daemon of the world's home: a process of that name, and a socket that answers; what it was asked. */
export async function fakeDaemon(
  world: FakeWorld,
  answer: FakeAnswer,
): Promise<readonly AskedOfDaemon[]> {
  const socket = world.home.at('daemon.sock');
  await announceDaemon(world, { socket });
  const asked: AskedOfDaemon[] = [];
  const server = createServer(async (request, response) => {
    let text = '';
    for await (const piece of request) text += String(piece);
    const { method = '', url: path = '' } = request;
    const one = { method, path, body: text === '' ? undefined : JSON.parse(text) };
    asked.push(one);
    answer(one, response);
  });
  await new Promise<void>((resolve) => server.listen(socket, resolve));
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  return asked;
}

/** A daemon of the world's home that says so in its file, and nothing more. */
export async function announceDaemon(world: FakeWorld, said: object = {}): Promise<void> {
  const { pid } = await livingChild('daemon');
  await world.home.prepare();
  const file = { pid, peer: 'oak', nats: 'nats://x', version: '1.2.3', temporary: false, ...said };
  await writeFile(world.home.at('daemon.json'), JSON.stringify(file));
}

/** JSON values, each on a line. */
export function say(response: ServerResponse, status: number, ...lines: readonly unknown[]): void {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
}
