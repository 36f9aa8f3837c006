import { artifactId, DOCKER_MANIFEST } from '@podmesh/core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { connectMesh } from './connect-mesh.ts';
import { JetStreamArchivedImages } from './jetstream-archived-images.ts';
import type { MeshConnection } from './mesh-connection.ts';
import { rolePermissions } from './permissions.ts';
import { ARCHIVE_BUCKET, ARCHIVE_STREAM } from './subjects.ts';
import { TestServer } from './test-server.test-kit.ts';

const ARCHIVE = artifactId(`sha256:${'a'.repeat(64)}`);
const IMAGE = {
  digest: artifactId(`sha256:${'b'.repeat(64)}`),
  mediaType: DOCKER_MANIFEST,
  bytes: 7,
};

/** Of a mesh whose maker can make it look older than it is. */
function permissions(lacking = 'nothing'): ReturnType<typeof rolePermissions> {
  const { peer, anchor, ...others } = rolePermissions();
  const may = peer.publish.filter((subject) => !subject.includes(lacking));
  const removes = `$JS.API.STREAM.DELETE.${ARCHIVE_STREAM}`;
  return {
    ...others,
    peer: { ...peer, publish: may },
    anchor: { ...anchor, publish: [...anchor.publish, removes] },
  };
}

describe.each([
  ['made before there were archives', permissions()],
  ['whose roles do not include archives', permissions(ARCHIVE_BUCKET)],
])('in a mesh %s', (_, allowed) => {
  let server: TestServer;
  let peer: MeshConnection;

  beforeAll(async () => {
    server = await TestServer.startTrusted(allowed);
    const url = await server.address('anchor', 'maker');
    const anchor = await connectMesh({ url, name: 'maker' });
    await anchor.ensureStreams({ replicas: 1 });
    await anchor.jsm.streams.delete(ARCHIVE_STREAM);
    await anchor.close();
    peer = await connectMesh({ url: await server.address('peer', 'newer'), name: 'newer' });
  });
  afterAll(async () => {
    await peer?.close();
    await server?.remove();
  });

  test('a newer peer starts, and refuses only what is about archives', async () => {
    await peer.ensureStreams({ replicas: 1 });
    const archived = new JetStreamArchivedImages(peer);
    await expect(archived.find(ARCHIVE)).rejects.toThrow('look what archive');
    await expect(archived.note(ARCHIVE, IMAGE)).rejects.toThrow('note what archive');
  });
});

describe('once the keeper is newer, too', () => {
  let server: TestServer;
  let mesh: MeshConnection;

  beforeAll(async () => {
    server = await TestServer.start();
    mesh = await server.connect();
  });
  afterAll(async () => {
    await mesh?.close();
    await server?.remove();
  });

  test('what is in archives is told without a new start', async () => {
    const archived = new JetStreamArchivedImages(mesh);
    await expect(archived.find(ARCHIVE)).rejects.toThrow('look what archive');
    await mesh.ensureStreams({ replicas: 1 });
    await archived.note(ARCHIVE, IMAGE);
    expect(await archived.find(ARCHIVE)).toEqual(IMAGE);
  });
});
