import { type PeerEntry, peerId } from '@podmesh/core';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { JetStreamPeerDirectory } from './jetstream-peer-directory.ts';
import type { MeshConnection } from './mesh-connection.ts';
import { MeshTooNewError, UnlikePeersError } from './mesh-errors.ts';
import { meshVersion, refuseUnlikePeers } from './mesh-version.ts';
import { RUN_STREAM } from './subjects.ts';
import { TestServer } from './test-server.test-kit.ts';

let server: TestServer;
let mesh: MeshConnection;

beforeAll(async () => {
  server = await TestServer.start();
});
beforeEach(async () => {
  mesh = await server.connect();
});
afterEach(async () => {
  for await (const { config } of mesh.jsm.streams.list())
    await mesh.jsm.streams.delete(config.name);
  await mesh.close();
});
afterAll(() => server?.remove());

const ensure = (version?: string): Promise<void> =>
  mesh.ensureStreams({ replicas: 1, ...(version === undefined ? {} : { version }) });

/** Everything there is, as the server tells it. */
async function state(): Promise<unknown> {
  const streams: unknown[] = [];
  for await (const { config, created } of mesh.jsm.streams.list())
    streams.push({ config, created });
  return streams;
}

test('a new mesh has the version of who made it', async () => {
  await ensure('0.4.2');
  expect(await meshVersion(mesh.jsm)).toBe('0.4.2');
});

test('one minor version newer or older works, and the mesh never goes back', async () => {
  await ensure('0.4.0');
  await ensure('0.5.0');
  expect(await meshVersion(mesh.jsm)).toBe('0.5.0');
  await ensure('0.4.9');
  expect(await meshVersion(mesh.jsm)).toBe('0.5.0');
});

test.each(['0.6.0', '1.0.0', 'tomorrow'])(
  'a mesh of %s is refused by 0.4 with a sentence, and nothing of it is touched',
  async (newer) => {
    await ensure(newer);
    // What would be made, were it not for the refusal.
    await mesh.jsm.streams.delete('PM_LOG');
    const before = await state();
    await expect(ensure('0.4.0')).rejects.toThrow(MeshTooNewError);
    await expect(ensure('0.4.0')).rejects.toThrow(
      `this mesh is of podmesh ${newer}, and this is 0.4.0`,
    );
    expect(await state()).toEqual(before);
  },
);

test('a mesh of before versions were noted is taken, and noted', async () => {
  await ensure();
  expect(await meshVersion(mesh.jsm)).toBeUndefined();
  await ensure('0.2.0');
  expect(await meshVersion(mesh.jsm)).toBe('0.2.0');
});

test('what others noted at the stream stays', async () => {
  await ensure('0.2.0');
  const { config } = await mesh.jsm.streams.info(RUN_STREAM);
  await mesh.jsm.streams.update(RUN_STREAM, { metadata: { ...config.metadata, owner: 'lab' } });
  await ensure('0.3.0');
  const found = await mesh.jsm.streams.info(RUN_STREAM);
  expect(found.config.metadata).toMatchObject({ owner: 'lab', 'podmesh.version': '0.3.0' });
});

async function announce(name: string, version: string): Promise<void> {
  // Of an entry only these two are looked at here.
  const entry = { peer: peerId(name), version } as PeerEntry;
  await new JetStreamPeerDirectory(mesh).announce(entry);
}

test('where no mesh is yet, nobody is in the way', async () => {
  await refuseUnlikePeers(mesh, peerId('own'), '0.4.0');
});

test('peers that are one minor version apart work together', async () => {
  await ensure('0.4.0');
  await announce('old', '0.3.7');
  await announce('new', '0.5.0');
  await refuseUnlikePeers(mesh, peerId('own'), '0.4.0');
});

test.each(['0.2.9', '0.6.0', '1.4.0', 'unknown'])(
  'a peer of %s that is at work keeps 0.4 out, by name',
  async (version) => {
    await ensure('0.4.0');
    await announce('attic', version);
    const refused = refuseUnlikePeers(mesh, peerId('own'), '0.4.0');
    await expect(refused).rejects.toThrow(UnlikePeersError);
    await expect(refused).rejects.toThrow(`attic has ${version}`);
    // What an earlier session of its own left in the directory does not.
    await refuseUnlikePeers(mesh, peerId('attic'), '0.4.0');
  },
);
