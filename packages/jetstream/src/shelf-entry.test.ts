import { randomBytes } from 'node:crypto';
import type { ArtifactRef } from '@podmesh/core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { artifactIdOf } from './digest-stream.ts';
import type { MeshConnection } from './mesh-connection.ts';
import { openMesh } from './open-mesh.ts';
import { findEntry, hasAllChunks, sequenceBehind, takeBackEntry } from './shelf-entry.ts';
import { TestServer } from './test-server.test-kit.ts';

let server: TestServer;
let connection: MeshConnection;

beforeAll(async () => {
  server = await TestServer.start();
  connection = await server.connect();
  await connection.ensureStreams({ replicas: 1 });
});

afterAll(async () => {
  await connection?.close();
  await server?.remove();
});

/** An artifact in the store; `again` stores it anew. */
async function newEntry() {
  const bytes = randomBytes(1_000);
  const ref: ArtifactRef = { digest: artifactIdOf(bytes), kind: 'file', bytes: bytes.length };
  const { artifacts } = openMesh(connection);
  const again = () =>
    artifacts.put(
      ref,
      (async function* () {
        yield bytes;
      })(),
    );
  await again();
  const stored = await findEntry(connection, ref.digest);
  if (stored === undefined) throw new Error('it is stored');
  return { ref, artifacts, again, ...stored };
}

it.each([true, false])(
  'is taken back so that it can be written anew (keeper: %s)',
  async (isKeeper) => {
    const { js, jsm } = connection;
    const mesh = { isKeeper, js, jsm } as unknown as MeshConnection;
    const { ref, artifacts, again, entry, sequence } = await newEntry();
    expect(await hasAllChunks(connection, entry.nuid, entry.chunks ?? 0)).toBe(true);
    expect(await hasAllChunks(connection, entry.nuid, (entry.chunks ?? 0) + 1)).toBe(false);
    await takeBackEntry(mesh, ref.digest, { ...entry, revision: sequence });
    expect(await findEntry(connection, ref.digest)).toBeUndefined();
    expect((await artifacts.stat([ref.digest])).size).toBe(0);
    // A keeper leaves nothing, others a mark.
    const behind = await sequenceBehind(connection, ref.digest);
    expect(behind > 0).toBe(!isKeeper);
    await again();
    expect((await artifacts.stat([ref.digest])).get(ref.digest)).toEqual(ref);
  },
);

it('is not taken back by who saw an older one', async () => {
  const { js, jsm } = connection;
  const mesh = { isKeeper: false, js, jsm } as unknown as MeshConnection;
  const { ref, entry, sequence } = await newEntry();
  await takeBackEntry(mesh, ref.digest, { ...entry, revision: sequence });
  const late = takeBackEntry(mesh, ref.digest, { ...entry, revision: sequence });
  await expect(late).rejects.toThrow(/wrong last sequence/);
});
