import { NatsKey, openCredentials, TaskSigner } from '@podmesh/authority';
import { claimId, runId, taskId } from '@podmesh/core';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { connectMesh } from './connect-mesh.ts';
import type { MeshConnection } from './mesh-connection.ts';
import { MeshRefusedError } from './mesh-errors.ts';
import { PlainClient } from './plain-client.test-kit.ts';
import { pushTrust } from './push-trust.ts';
import { TestServer } from './test-server.test-kit.ts';

const CONNECT_MS = 20_000;
let server: TestServer;
let open: MeshConnection[] = [];

beforeEach(async () => {
  server = await TestServer.startTrusted();
});

afterEach(async () => {
  for (const connection of open) await connection.close();
  open = [];
  await server.remove();
});

async function connected(role: 'peer' | 'user', name: string): Promise<MeshConnection> {
  const url = await server.address(role, name);
  const connection = await connectMesh({ url, name, timeoutMs: CONNECT_MS });
  open.push(connection);
  return connection;
}

async function push(): Promise<void> {
  await pushTrust(await server.address('system', 'looker'), await server.authority.serverTrust());
}

function lost(connection: MeshConnection): Promise<void> {
  return new Promise((resolve) => {
    connection.onStatus(({ kind }) => {
      if (kind === 'disconnected') resolve();
    });
  });
}

test('whoever is revoked is cut off, and never let in again, also by a server that starts anew', async () => {
  const [stolen, good] = [await connected('peer', 'laptop'), await connected('peer', 'lab-1')];
  const cut = lost(stolen);
  expect(await server.authority.revoke('laptop')).toHaveLength(1);
  await push();
  await cut;
  const again = { url: stolen.address, name: 'again', timeoutMs: CONNECT_MS };
  await expect(connectMesh(again)).rejects.toThrow(MeshRefusedError);
  expect(good.isConnected).toBe(true);
  await good.nc.flush();
  await server.kill();
  await server.run();
  await expect(connectMesh(again)).rejects.toThrow(MeshRefusedError);
  await good.untilConnected(CONNECT_MS);
});

test('two revocations in one second both hold', async () => {
  const two = [await connected('user', 'ann'), await connected('user', 'bob')];
  const cut = Promise.all(two.map(lost));
  for (const name of ['ann', 'bob']) {
    await server.authority.revoke(name);
    await push();
  }
  await cut;
});

test('a member with a new key of the same name is let in', async () => {
  await connected('user', 'ann');
  await server.authority.revoke('ann');
  await push();
  await connected('user', 'ann');
});

test('members of another authority stay out, whatever the servers are told', async () => {
  const other = await TestServer.startTrusted();
  try {
    const trust = await other.authority.serverTrust();
    // A server keeps what it does not trust, and never uses it.
    await pushTrust(await server.address('system', 'looker'), trust).catch(() => undefined);
    const url = await other.address('peer', 'x', server.port);
    const dialled = connectMesh({ url, name: 'x', timeoutMs: CONNECT_MS });
    await expect(dialled).rejects.toThrow(MeshRefusedError);
    await connected('peer', 'lab-1');
  } finally {
    await other.remove();
  }
});

test('a token does not help without its key', async () => {
  const creds = await server.authority.mint({ role: 'peer', name: 'lab-1' });
  const key = NatsKey.create('user').seedText;
  const stolen = creds.replace(openCredentials(creds).key.seedText, key);
  await expect(PlainClient.connect(server.port, stolen, '_INBOX.x')).rejects.toThrow();
});

test('credentials of a task end by themselves', async () => {
  const signer = new TaskSigner(server.authority.taskSigning);
  const attempt = { run: runId('aaaaaaaaaaaa'), task: taskId('a'), claim: claimId('C1') };
  const creds = await signer.mint({ ...attempt, expiresAtMs: Date.now() + 1_500 });
  const { nc } = await PlainClient.connect(server.port, creds, 'pm.task.aaaaaaaaaaaa.a.C1.inbox');
  await nc.closed();
  const again = (): Promise<string> =>
    PlainClient.connect(server.port, creds, '_INBOX.x').then(
      async (client) => {
        await client.close();
        return 'let in';
      },
      () => 'refused',
    );
  // The server compares whole seconds: in the last one it may let in for a moment.
  await expect.poll(again).toBe('refused');
});

test('whoever has the key that signs for tasks reaches tasks with it, and nothing else', async () => {
  const signer = new TaskSigner(server.authority.taskSigning);
  const expiresAtMs = Date.now() + 600_000;
  const wide = { run: '*' as never, task: '*' as never, claim: '>' as never, expiresAtMs };
  const client = await PlainClient.connect(server.port, await signer.mint(wide), '_INBOX.x');
  for (const subject of ['pm.run.aaaaaaaaaaaa.task.a', '$JS.API.INFO', 'pm.drive.x'])
    expect(await client.publish(subject)).toBe('refused');
  expect(await client.subscribe('>')).toBe('refused');
  await client.close();
});

test('a new key to sign for tasks cuts off what the one before signed, and lets none of it in again', async () => {
  const old = new TaskSigner(server.authority.taskSigning);
  const attempt = { run: runId('aaaaaaaaaaaa'), task: taskId('a'), claim: claimId('C1') };
  const whole = { ...attempt, expiresAtMs: Date.now() + 600_000 };
  const creds = await old.mint(whole);
  const dial = (text: string) =>
    PlainClient.connect(server.port, text, 'pm.task.aaaaaaaaaaaa.a.C1.inbox');
  const running = await dial(creds);
  const before = server.authority.taskSigning;
  const renewed = await server.authority.renewTaskSigning();
  expect(renewed.seed).not.toBe(before.seed);
  const cut = running.nc.closed();
  await push();
  await cut;
  for (const text of [creds, await old.mint(whole)]) await expect(dial(text)).rejects.toThrow();
  const again = await dial(await new TaskSigner(renewed).mint(whole));
  await again.close();
  // Everybody else has the keys that they had.
  await connected('peer', 'lab-1');
});
