import { OCI_INDEX, OCI_MANIFEST, peerId } from '@podmesh/core';
import { sampleArtifact } from '@podmesh/testkit';
import { describe, expect, it } from 'vitest';
import { FakeWorld } from '../fake-world.test-kit.ts';
import { graphOf } from '../sample-run.test-kit.ts';
import { pinImages } from './pin-images.ts';
import { pinMeshImages } from './pin-mesh-images.ts';

const MESH = 'nats://fake:4222';

async function put(world: FakeWorld, text: string): Promise<string> {
  const { ref, bytes } = sampleArtifact(Buffer.from(text));
  const once = async function* () {
    yield bytes;
  };
  await world.others.artifacts.put(ref, once());
  return ref.digest;
}

/** An image in the mesh's store; the digests of its manifest and config. */
async function putImage(world: FakeWorld, architecture: string, more = {}) {
  const configText = JSON.stringify({ architecture, os: 'linux', ...more });
  const config = await put(world, configText);
  const descriptor = { digest: config, size: configText.length, mediaType: 'a/b' };
  const manifest = { schemaVersion: 2, mediaType: OCI_MANIFEST, config: descriptor, layers: [] };
  return { manifest: await put(world, JSON.stringify(manifest)), config };
}

async function tag(world: FakeWorld, name: string, digest: string): Promise<void> {
  const record = { digest, mediaType: 'a/b', bytes: 1, by: peerId('oak') } as never;
  await world.others.imageTags.set('me/tool', name, record);
}

const containersOf = (world: FakeWorld, references: readonly string[], registry?: string) => {
  const graph = graphOf(references.map((container, job) => ({ id: `j${job}`, container })));
  return pinMeshImages(world.client(), graph, registry).then(({ graph: pinned, problems }) => ({
    containers: pinned.jobs.map(({ container }) => container),
    problems,
  }));
};

describe('what an image of the mesh means when a run is published', () => {
  it('is the manifest that its tag means now, and the image that this is', async () => {
    const world = new FakeWorld();
    const { manifest, config } = await putImage(world, 'amd64');
    await tag(world, '1', manifest);
    const names = ['mesh/me/tool:1', 'localhost:5055/me/tool:1', 'localhost:4711/me/tool:1'];
    const { containers, problems } = await containersOf(world, names, 'localhost:4711');
    const reference = `mesh/me/tool:1@${manifest}`;
    const pinned = { kind: 'reference', reference, pins: { amd64: config } };
    expect(containers).toEqual([pinned, pinned, pinned]);
    expect(problems).toEqual([]);
  });

  it('of an index is one image for each architecture', async () => {
    const world = new FakeWorld();
    const [amd, arm] = [await putImage(world, 'amd64'), await putImage(world, 'arm64')];
    const manifests = [amd, arm].map(({ manifest }, at) => ({
      digest: manifest,
      size: 1,
      platform: { os: 'linux', architecture: at === 0 ? 'amd64' : 'arm64' },
    }));
    const text = JSON.stringify({ schemaVersion: 2, mediaType: OCI_INDEX, manifests });
    await tag(world, 'latest', await put(world, text));
    const { containers } = await containersOf(world, ['mesh/me/tool']);
    expect(containers).toMatchObject([{ pins: { amd64: amd.config, arm64: arm.config } }]);
  });

  it('stays open where the manifest cannot be read from here', async () => {
    const world = new FakeWorld();
    const { ref } = sampleArtifact(Buffer.from('at a peer only'));
    await tag(world, '1', ref.digest);
    const { containers, problems } = await containersOf(world, ['mesh/me/tool:1']);
    const reference = `mesh/me/tool:1@${ref.digest}`;
    expect([containers, problems]).toEqual([[{ kind: 'reference', reference }], []]);
  });

  it('is told to be nothing when nobody pushed it, and where to push it; Podman is not asked', async () => {
    const world = new FakeWorld();
    const graph = graphOf([{ id: 'a', container: 'localhost:5055/me/tool:2' }]);
    const pinned = await pinImages(world.world(), { client: world.client(), url: MESH }, graph);
    const reference = 'mesh/me/tool:2';
    expect(pinned.jobs[0]?.container).toEqual({ kind: 'reference', reference });
    expect(world.terminal.stderr).toContain('image localhost:5055/me/tool:2 is not in this mesh');
    expect(world.terminal.stderr).toContain('podman push localhost:PORT/me/tool:2');
    expect(world.terminal.stderr).not.toContain('nowhere');
  });

  it('survives garbage in the place of a manifest or a config', async () => {
    const world = new FakeWorld();
    await tag(world, 'garbage', await put(world, '{"schemaVersion":2,'));
    await tag(world, 'odd', (await putImage(world, '../x')).manifest);
    await tag(world, 'windows', (await putImage(world, 'amd64', { os: 'windows' })).manifest);
    const names = ['garbage', 'odd', 'windows'].map((name) => `mesh/me/tool:${name}`);
    const { containers } = await containersOf(world, names);
    for (const container of containers) expect(container).not.toHaveProperty('pins');
  });

  it('leaves all other names to Podman', async () => {
    const world = new FakeWorld();
    const { containers, problems } = await containersOf(world, ['localhost/tool:1', 'alpine']);
    expect(containers).toEqual([
      { kind: 'reference', reference: 'localhost/tool:1' },
      { kind: 'reference', reference: 'alpine' },
    ]);
    expect(problems).toEqual([]);
  });
});
