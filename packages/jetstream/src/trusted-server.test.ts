import { cp, mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AckPolicy } from '@nats-io/jetstream';
import { Authority } from '@podmesh/authority';
import { runId } from '@podmesh/core';
import { samplePublished } from '@podmesh/testkit';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { connectMesh } from './connect-mesh.ts';
import { EmbeddedNatsServer } from './embedded-nats-server.ts';
import type { MeshConnection } from './mesh-connection.ts';
import { MeshRefusedError } from './mesh-errors.ts';
import { findNatsServer } from './nats-server-binary.ts';
import { NatsServerFiles } from './nats-server-files.ts';
import { spawnServer } from './nats-server-process.ts';
import { openMesh } from './open-mesh.ts';
import { rolePermissions } from './permissions.ts';

import type { TrustedServer } from './server-guard.ts';
import { OFFER_STREAM, RUN_STREAM } from './subjects.ts';

const RUN = runId('aaaaaaaaaaaa');
let folder: string;
let servers: EmbeddedNatsServer[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'podmesh-trusted-'));
});

afterEach(async () => {
  for (const server of servers.reverse()) await server.stop();
  servers = [];
  await rm(folder, { recursive: true, force: true });
});

const store = (): string => join(folder, 'nats', 'jetstream', 'jetstream');

function embedded(trusted?: TrustedServer): EmbeddedNatsServer {
  const where = { directory: join(folder, 'nats'), env: process.env };
  const server = new EmbeddedNatsServer(trusted === undefined ? where : { ...where, trusted });
  servers.push(server);
  return server;
}

async function trust(): Promise<TrustedServer> {
  const directory = join(folder, 'authority');
  const options = { directory, permissions: rolePermissions(), now: Date.now };
  const authority = await Authority.make('test', options);
  const credentials = await authority.mint({ role: 'anchor', name: 'a' });
  const member = { name: 'a', role: 'anchor', credentials } as const;
  return { trust: await authority.serverTrust(), member };
}

/** What an older version leaves behind: facts, a claimed offer and a waiting one, a bucket's entry, an artifact. */
async function leaveWork(connection: MeshConnection): Promise<void> {
  await connection.ensureStreams({ replicas: 1 });
  const mesh = openMesh(connection);
  for (let i = 0; i < 50; i++) await connection.js.publish(`pm.run.r${i}.graph`, `graph ${i}`);
  await mesh.runLog.append(samplePublished(RUN), 0);
  await connection.jsm.consumers.add(OFFER_STREAM, {
    durable_name: 'lane-x',
    ack_policy: AckPolicy.Explicit,
    filter_subject: 'pm.offer.x.>',
  });
  for (const task of ['one', 'two']) await connection.js.publish(`pm.offer.x.r.${task}`, task);
  const consumer = await connection.js.consumers.get(OFFER_STREAM, 'lane-x');
  await consumer.next();
  await connection.js.publish('$KV.pm-lanes.x', 'requirements');
  await mesh.stop();
}

async function found(connection: MeshConnection): Promise<unknown> {
  const { jsm } = connection;
  const [runs, offers] = [await jsm.streams.info(RUN_STREAM), await jsm.streams.info(OFFER_STREAM)];
  const lane = await jsm.consumers.info(OFFER_STREAM, 'lane-x');
  const last = await jsm.streams.getMessage(RUN_STREAM, { last_by_subj: 'pm.run.r49.graph' });
  return {
    runs: [runs.state.messages, runs.state.last_seq, runs.created],
    offers: [offers.state.messages, offers.state.last_seq],
    lane: [lane.num_pending, lane.num_ack_pending],
    last: last?.string(),
    bucket: (
      await jsm.streams.getMessage('KV_pm-lanes', { last_by_subj: '$KV.pm-lanes.x' })
    )?.string(),
  };
}

test('lets members in and nobody else, is private on disk, and is taken over', async () => {
  const trusted = await trust();
  const first = embedded(trusted);
  await first.start();
  expect(first.url).toMatch(/^nats:\/\/127\.0\.0\.1:\d+$/);
  const mesh = await connectMesh({ url: first.address, name: 'a' });
  await mesh.ensureStreams({ replicas: 1 });
  await mesh.close();
  await expect(connectMesh({ url: first.url, name: 'x' })).rejects.toThrow(MeshRefusedError);
  const config = await readFile(join(folder, 'nats', 'nats.conf'), 'utf8');
  expect(config).not.toMatch(/token:|S[OAU][A-Z2-7]{50}/);
  expect((await stat(join(folder, 'nats', 'nats.conf'))).mode & 0o777).toBe(0o600);
  const second = embedded(trusted);
  await second.start();
  expect(second.pid).toBe(first.pid);
});

test('what an older version has stored under its token belongs to the mesh', async () => {
  const old = embedded();
  await old.start();
  const before = await connectMesh({ url: old.url, name: 'old' });
  await leaveWork(before);
  const left = await found(before);
  await before.close();
  await old.stop();
  expect(await readdir(store())).toEqual(['$G']);
  for (let start = 0; start < 2; start++) {
    const server = embedded(await trust());
    await server.start();
    const after = await connectMesh({ url: server.address, name: 'new' });
    expect(await found(after)).toEqual(left);
    await after.ensureStreams({ replicas: 1 });
    await after.close();
    await server.stop();
  }
  expect(await readdir(store())).toEqual([(await trust()).trust.account]);
});

test('an old server whose daemon was killed is ended first, and what it has is kept', async () => {
  const old = embedded();
  await old.start();
  const before = await connectMesh({ url: old.url, name: 'old' });
  await leaveWork(before);
  const left = await found(before);
  await before.close();
  await old.stop();
  // The same server with nobody to look after it.
  const { path } = await findNatsServer(process.env);
  const orphan = await spawnServer(path, new NatsServerFiles(join(folder, 'nats')));
  await (await connectMesh({ url: old.url, name: 'old', timeoutMs: 20_000 })).close();
  const server = embedded(await trust());
  await server.start();
  expect([orphan.hasExited, server.pid === orphan.pid]).toEqual([true, false]);
  const after = await connectMesh({ url: server.address, name: 'new' });
  expect(await found(after)).toEqual(left);
  await after.close();
});

test('two stores are named, and none of them is touched', async () => {
  const old = embedded();
  await old.start();
  const before = await connectMesh({ url: old.url, name: 'old' });
  await before.ensureStreams({ replicas: 1 });
  await before.close();
  await old.stop();
  const trusted = await trust();
  const own = join(store(), trusted.trust.account);
  await cp(join(store(), '$G'), own, { recursive: true });
  const failed = await embedded(trusted)
    .start()
    .catch((error: unknown) => error);
  expect(String(failed)).toMatch(/holds two meshes.*\$G.*move the folder/s);
  expect((await readdir(store())).sort()).toEqual(['$G', trusted.trust.account].sort());
});
