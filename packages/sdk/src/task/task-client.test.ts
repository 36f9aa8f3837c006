import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type RequestListener } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { SubTaskFailedError } from './sub-task.ts';
import { PeerAwayError } from './task-api-request.ts';
import { TaskClient } from './task-client.ts';

async function newSocket(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'podmesh-sdk-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return join(folder, 'sock');
}

/** A peer that answers so; resolves when it listens. */
async function listen(socketPath: string, answer: RequestListener): Promise<() => Promise<void>> {
  const server = createServer(answer);
  await new Promise<void>((resolve) => server.listen(socketPath, () => resolve()));
  const close = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  onTestFinished(close);
  return close;
}

const say =
  (value: object, status = 200): RequestListener =>
  (_, response) => {
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));
  };

it('asks again while the peer is away, and when an answer broke off', async () => {
  const socketPath = await newSocket();
  const client = new TaskClient({ socketPath });
  const asked = client.me();
  let tries = 0;
  await listen(socketPath, (request, response) => {
    tries += 1;
    if (tries === 1) response.destroy();
    else if (tries === 2) {
      response.writeHead(200, { 'content-length': '100' }).write('half');
      response.destroy();
    } else say({ run: 'r' })(request, response);
  });
  expect(await asked).toEqual({ run: 'r' });
  expect(tries).toBe(3);
});

it('gives up when nobody comes, and says so', async () => {
  const client = new TaskClient({ socketPath: await newSocket(), awayMsMax: 0 });
  await expect(client.me()).rejects.toThrow(PeerAwayError);
});

it('hands on what the peer refuses, with its code, also while the body is still on its way', async () => {
  const socketPath = await newSocket();
  await listen(socketPath, say({ error: { code: 'too-large', message: 'too much' } }, 413));
  const client = new TaskClient({ socketPath });
  async function* endless() {
    for (;;) yield Buffer.alloc(65_536);
  }
  await expect(client.put(endless)).rejects.toMatchObject({
    status: 413,
    code: 'too-large',
    message: 'too much',
  });
});

it('waits for a sub-task, and throws when it did not succeed', async () => {
  const socketPath = await newSocket();
  const heard: string[] = [];
  let looks = 0;
  await listen(socketPath, (request, response) => {
    heard.push(`${request.method} ${request.url}`);
    if (request.method === 'POST')
      return say({ tasks: [{ task: 'a--k' }] }, 201)(request, response);
    looks += 1;
    const settled = looks > 1;
    const failure = { kind: 'exit', message: 'it ended with 1' };
    const view = { task: 'a--k', state: settled ? 'failed' : 'running', settled, failure };
    return say(view)(request, response);
  });
  const [task] = await new TaskClient({ socketPath }).spawn([{ command: ['no'] }], 'k');
  await expect(task?.output('x')).rejects.toThrow(SubTaskFailedError);
  expect(heard).toEqual([
    'POST /v1/tasks',
    'GET /v1/tasks/a--k?wait=60s',
    'GET /v1/tasks/a--k?wait=60s',
  ]);
});
