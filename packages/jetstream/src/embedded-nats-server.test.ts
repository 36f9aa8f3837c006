import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { connectMesh } from './connect-mesh.ts';
import { EmbeddedNatsServer, type EmbeddedServerEvent } from './embedded-nats-server.ts';
import {
  EmbeddedServerError,
  JetStreamDisabledError,
  MeshRefusedError,
  MeshUnreachableError,
  ServerTooOldError,
} from './mesh-errors.ts';
import { freePort } from './nats-server-files.ts';

let directory: string;
let servers: EmbeddedNatsServer[] = [];

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'podmesh-embedded-'));
});

afterEach(async () => {
  for (const server of servers.reverse()) await server.stop();
  servers = [];
  await rm(directory, { recursive: true, force: true });
});

function embedded(
  onEvent?: (event: EmbeddedServerEvent) => void,
  env: Record<string, string | undefined> = process.env,
): EmbeddedNatsServer {
  const server = new EmbeddedNatsServer({
    directory: join(directory, 'nats'),
    env,
    ...(onEvent === undefined ? {} : { onEvent }),
  });
  servers.push(server);
  return server;
}

test('starts on loopback with a token, keeps its port and data, stops twice', async () => {
  const first = embedded();
  await first.start();
  const mesh = await connectMesh({ url: first.url, name: 'test' });
  await mesh.ensureStreams({ replicas: 1 });
  await mesh.ensureStreams({ replicas: 1 });
  await mesh.close();
  const { url } = first;
  expect((await stat(join(directory, 'nats'))).mode & 0o777).toBe(0o700);
  expect((await stat(join(directory, 'nats', 'token'))).mode & 0o777).toBe(0o600);
  expect(await readFile(join(directory, 'nats', 'nats.conf'), 'utf8')).toContain('127.0.0.1');
  const withoutToken = url.replace(/\/\/.*@/, '//');
  await expect(connectMesh({ url: withoutToken, name: 'x' })).rejects.toThrow(MeshRefusedError);
  await Promise.all([first.stop(), first.stop()]);
  await expect(connectMesh({ url, name: 'x', timeoutMs: 300 })).rejects.toThrow(
    MeshUnreachableError,
  );
  const second = embedded();
  await second.start();
  expect(second.url).toBe(url);
  const again = await connectMesh({ url, name: 'test' });
  expect((await again.jsm.streams.info('PM_RUN')).config.name).toBe('PM_RUN');
  await again.close();
});

test('stops when never started', async () => {
  await embedded().stop();
});

test('starts the server again when it dies, and clients come back', async () => {
  const events: EmbeddedServerEvent[] = [];
  let restarted: (() => void) | undefined;
  const back = new Promise<void>((resolve) => {
    restarted = resolve;
  });
  const server = embedded((event) => {
    events.push(event);
    if (event.kind === 'restarted') restarted?.();
  });
  await server.start();
  const mesh = await connectMesh({ url: server.url, name: 'test' });
  const seen: string[] = [];
  const reconnected = new Promise<void>((resolve) => {
    mesh.onStatus(({ kind }) => {
      seen.push(kind);
      if (kind === 'connected') resolve();
    });
  });
  process.kill(server.pid ?? 0, 'SIGKILL');
  await Promise.all([back, reconnected]);
  expect(events.map(({ kind }) => kind)).toEqual(['exited', 'restarted']);
  expect(events[0]).toMatchObject({ how: 'SIGKILL', lastLines: expect.stringContaining('ready') });
  expect(seen).toEqual(['disconnected', 'connected']);
  await mesh.close();
  expect(seen.at(-1)).toBe('closed');
});

test('takes over the server of a daemon that was killed', async () => {
  const first = embedded();
  await first.start();
  const { pid, url } = first;
  const events: EmbeddedServerEvent[] = [];
  const second = embedded((event) => events.push(event));
  await second.start();
  expect(second.pid).toBe(pid);
  expect(second.url).toBe(url);
  expect(events).toEqual([{ kind: 'taken-over', pid }]);
  // `first` stands for the dead daemon: its supervision must not start another one.
  await Promise.all([second.stop(), first.stop()]);
});

test('does not take a stranger with a recycled pid for its server', async () => {
  const first = embedded();
  await first.start();
  await first.stop();
  await writeFile(join(directory, 'nats', 'pid'), `${process.pid}`);
  const second = embedded();
  await second.start();
  expect(second.pid).not.toBe(process.pid);
});

test('takes another port when a stranger has the remembered one', async () => {
  const first = embedded();
  await first.start();
  const { url } = first;
  await first.stop();
  const stranger = await listen(Number(new URL(url).port), () => undefined);
  const second = embedded();
  await second.start();
  expect(second.url).not.toBe(url);
  stranger.close();
});

test('says what it found and what to do when the program is too old', async () => {
  const fake = join(directory, 'nats-server');
  await writeFile(fake, '#!/bin/sh\necho "nats-server: v2.9.10"\n', { mode: 0o755 });
  const server = embedded(undefined, { PODMESH_NATS_SERVER: fake });
  const failed = await server.start().catch((error: unknown) => error);
  expect(failed).toBeInstanceOf(EmbeddedServerError);
  expect(String(failed)).toMatch(/2\.9\.10.*2\.12.*install/s);
});

test('says so when the program is missing, or ends at once', async () => {
  const missing = embedded(undefined, { PODMESH_NATS_SERVER: join(directory, 'none') });
  await expect(missing.start()).rejects.toThrow(/no nats-server that runs/);
  const fake = join(directory, 'nats-server');
  const script =
    '#!/bin/sh\n[ "$1" = --version ] && echo "nats-server: v2.15.1" || { echo broken disk; exit 3; }\n';
  await writeFile(fake, script, { mode: 0o755 });
  const failing = embedded(undefined, { PODMESH_NATS_SERVER: fake });
  await expect(failing.start()).rejects.toThrow(/exit code 3[\s\S]*broken disk/);
});

test('the token appears in no error', async () => {
  const port = await freePort();
  const url = `nats://hidden@127.0.0.1:${port}`;
  const failed = await connectMesh({ url, name: 'x', timeoutMs: 300 }).catch((error) => error);
  expect(failed).toBeInstanceOf(MeshUnreachableError);
  expect(String(failed)).toContain(`127.0.0.1:${port}`);
  expect(String(failed)).not.toContain('hidden');
});

test.each([
  ['too old', { version: '2.10.27', jetstream: true }, ServerTooOldError],
  ['without JetStream', { version: '2.12.0' }, JetStreamDisabledError],
])('refuses a server that is %s', async (_, info, error) => {
  const port = await freePort();
  const fake = await listen(
    port,
    (line, write) => {
      if (line.startsWith('PING')) write('PONG\r\n');
    },
    `INFO ${JSON.stringify({ server_id: 'x', max_payload: 1000, proto: 1, headers: true, ...info })}\r\n`,
  );
  const failed = await connectMesh({ url: `nats://127.0.0.1:${port}`, name: 'x' }).catch((e) => e);
  fake.close();
  expect(failed).toBeInstanceOf(error);
  expect(failed.retryable).toBe(false);
});

test('a server that never answers is given up in time', async () => {
  const port = await freePort();
  const silent = await listen(port, () => undefined);
  await expect(
    connectMesh({ url: `127.0.0.1:${port}`, name: 'x', timeoutMs: 500 }),
  ).rejects.toThrow(MeshUnreachableError);
  silent.close();
  expect(await readdir(directory)).toEqual([]);
});

/** A server on loopback that speaks line by line; for what no real nats-server would say. */
function listen(
  port: number,
  onLine: (line: string, write: (text: string) => void) => void,
  greeting = '',
): Promise<Server> {
  return new Promise((resolve) => {
    const server = createServer((socket) => {
      socket.on('error', () => undefined);
      socket.write(greeting);
      socket.on('data', (data) => {
        for (const line of data.toString().split('\r\n'))
          onLine(line, (text) => socket.write(text));
      });
    });
    server.listen(port, '127.0.0.1', () => resolve(server));
  });
}
