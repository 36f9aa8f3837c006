import { type ImageProblem, OCI_INDEX, ok, type Result, refused } from '@podmesh/core';
import { type ImageSource, UpstreamError } from '@podmesh/registry';
import { describe, expect, it } from 'vitest';
import { MeshImageRuntime, type MeshImageRuntimeParts } from './mesh-image-runtime.ts';
import { MeshImages } from './mesh-images.ts';
import { ALICE, imageTexts, never, newBlobs, textId } from './registry.test-kit.ts';

interface Changes {
  readonly port: number;
  readonly arch: string;
  readonly mirror: ImageSource;
}

/** A peer whose Podman has nothing, in a mesh where another one has these texts. */
async function newPeer(
  elsewhere: readonly string[],
  { port = 5055, arch = 'amd64', mirror }: Partial<Changes> = {},
) {
  const { blobs, ports, store } = await newBlobs({ elsewhere });
  const here = new Set<string>();
  const asked: string[] = [];
  const resolveImage = async (
    reference: string,
    pull: unknown,
  ): Promise<Result<string, ImageProblem>> => {
    asked.push(`${pull === false ? 'look' : 'pull'} ${reference}`);
    if (here.has(reference)) return ok(reference);
    if (pull !== false) return ok(`pulled ${reference}`);
    return refused({ kind: 'unavailable', message: 'not here' });
  };
  const runtime = { resolveImage } as unknown as MeshImageRuntimeParts['runtime'];
  const tags = ports.imageTags;
  const images = new MeshImages({ tags, blobs, ...(mirror === undefined ? {} : { mirror }) });
  const mirrors = [{ host: 'quay.io', prefix: 'quay' }];
  const peer = new MeshImageRuntime({ runtime, images, arch, mirrors, port: () => port });
  const tag = (name: string, text: string, repository = 'me/tool') =>
    ports.imageTags.set(repository, name, {
      digest: textId(text),
      mediaType: 'a/b',
      bytes: text.length,
      by: ALICE,
    });
  return { peer, tag, here, asked, store };
}

const pull = () => undefined;

describe('images of other registries that a machine may ask', () => {
  it('come through the mesh, unless Podman has them under that name', async () => {
    const { all, ids, manifest } = imageTexts();
    const asked: unknown[] = [];
    const mirror: ImageSource = {
      bring: async (repository, name) => {
        asked.push([repository, name]);
        await tag('1', manifest, 'quay/me/tool');
        return true;
      },
    };
    const { peer, tag, here } = await newPeer(all, { mirror });
    expect((await peer.resolveImage('quay.io/me/tool:1', false, never)).ok).toBe(false);
    expect(asked).toEqual([]);
    const found = await peer.resolveImage('quay.io/me/tool:1', pull, never);
    expect(found).toEqual(ok(`pulled 127.0.0.1:5055/quay/me/tool@${ids.manifest}`));
    expect(asked).toEqual([['quay/me/tool', { kind: 'tag', tag: '1' }]]);
    here.add('quay.io/me/tool:2');
    expect(await peer.resolveImage('quay.io/me/tool:2', pull, never)).toEqual(
      ok('quay.io/me/tool:2'),
    );
    // Of others Podman is asked as ever.
    expect(await peer.resolveImage('ghcr.io/me/tool:1', pull, never)).toEqual(
      ok('pulled ghcr.io/me/tool:1'),
    );
    expect(asked).toHaveLength(1);
  });

  it('that do not come are unavailable, with what was said there', async () => {
    const bring = async () => {
      throw new UpstreamError('quay.io/me/tool:1', 'quay.io answered (status 500)');
    };
    const { peer } = await newPeer([], { mirror: { bring } });
    expect(await peer.resolveImage('quay.io/me/tool:1', pull, never)).toMatchObject({
      ok: false,
      error: {
        kind: 'unavailable',
        message:
          'this mesh has no image mesh/quay/me/tool:1, and quay.io/me/tool:1 cannot be had: quay.io answered (status 500)',
      },
    });
  });
});

describe('images of the mesh', () => {
  it("are pulled from the peer's own registry, by digest, when all of them is on its disk", async () => {
    const { all, ids, manifest } = imageTexts();
    const { peer, tag, asked, store } = await newPeer(all, { port: 4711 });
    await tag('1', manifest);
    const lines: string[] = [];
    const local = `127.0.0.1:4711/me/tool@${ids.manifest}`;
    for (const name of ['mesh/me/tool:1', 'localhost:5055/me/tool:1', 'localhost:4711/me/tool:1']) {
      const found = await peer.resolveImage(name, (line) => lines.push(line), never);
      expect(found).toEqual(ok(`pulled ${local}`));
    }
    expect(asked.slice(0, 2)).toEqual([`look ${ids.config}`, `pull ${local}`]);
    expect(store.index.whole(ids.layer)?.bytes).toBe('layer of amd64'.length);
    expect(lines[0]).toBe('fetching mesh/me/tool:1: 0.0 of 0.0 MiB');
    // Nothing stays held.
    expect(store.pins.isPinned(ids.layer)).toBe(false);
  });

  it('that Podman has need nothing but their manifest', async () => {
    const { manifest, ids } = imageTexts();
    const { peer, tag, asked, here, store } = await newPeer([manifest]);
    await tag('latest', manifest);
    here.add(ids.config);
    expect(await peer.resolveImage('mesh/me/tool', pull, never)).toEqual(ok(ids.config));
    expect(asked).toEqual([`look ${ids.config}`]);
    expect(store.index.whole(ids.layer)).toBeUndefined();
  });

  it('by digest are what they were, whatever the tag means by now', async () => {
    const [one, two] = [imageTexts('amd64', 'one'), imageTexts('amd64', 'two')];
    const { peer, tag } = await newPeer([...one.all, ...two.all]);
    await tag('1', two.manifest);
    const name = `mesh/me/tool:1@${one.ids.manifest}`;
    const local = `127.0.0.1:5055/me/tool@${one.ids.manifest}`;
    expect(await peer.resolveImage(name, pull, never)).toEqual(ok(`pulled ${local}`));
  });

  it('of an index are those for the machine; of none it says for what they are', async () => {
    const [amd, arm] = [imageTexts('amd64'), imageTexts('arm64')];
    const manifests = [amd, arm].map(({ manifest }, at) => ({
      digest: textId(manifest),
      size: manifest.length,
      platform: { os: 'linux', architecture: at === 0 ? 'amd64' : 'arm64' },
    }));
    const index = JSON.stringify({ schemaVersion: 2, mediaType: OCI_INDEX, manifests });
    const texts = [index, ...amd.all, ...arm.all];
    const pi = await newPeer(texts, { arch: 'arm64' });
    await pi.tag('1', index);
    const local = `127.0.0.1:5055/me/tool@${arm.ids.manifest}`;
    expect(await pi.peer.resolveImage('mesh/me/tool:1', pull, never)).toEqual(
      ok(`pulled ${local}`),
    );
    const other = await newPeer(texts, { arch: 'riscv64' });
    await other.tag('1', index);
    const found = await other.peer.resolveImage('mesh/me/tool:1', pull, never);
    expect(found).toMatchObject({ error: { kind: 'platform' } });
    expect(JSON.stringify(found)).toContain(
      'linux/amd64, linux/arm64, and this machine is linux/riscv64',
    );
  });

  it.each([
    ['no such tag', 'mesh/me/tool:2', 'podman push localhost:PORT/me/tool:2'],
    [
      'a manifest that is gone',
      'mesh/me/tool:gone',
      'no peer that can be reached has its manifest',
    ],
    ['a layer that is gone', 'mesh/me/tool:half', 'no peer that can be reached has its part'],
  ])('unavailable, and what to do: %s', async (_, name, words) => {
    const { all, manifest } = imageTexts();
    const [config = '', , image = ''] = all;
    const { peer, tag } = await newPeer([config, image]);
    await tag('half', manifest);
    await tag('gone', 'nobody has this');
    const found = await peer.resolveImage(name, pull, never);
    expect(found).toMatchObject({ ok: false, error: { kind: 'unavailable' } });
    expect(JSON.stringify(found)).toContain(words);
  });

  it('are not fetched when that was not allowed, nor without a registry', async () => {
    const { all, ids, manifest } = imageTexts();
    const { peer, tag, store } = await newPeer(all, { port: 0 });
    await tag('1', manifest);
    expect(await peer.resolveImage('mesh/me/tool:1', false, never)).toMatchObject({ ok: false });
    const found = await peer.resolveImage('mesh/me/tool:1', pull, never);
    expect(JSON.stringify(found)).toContain('--registry-port 0');
    expect(store.index.whole(ids.layer)).toBeUndefined();
  });

  it('all others are left to Podman', async () => {
    const { peer, asked } = await newPeer([]);
    const others = ['docker.io/me/tool:1', 'localhost/tool:1', 'localhost:5000/me/tool:1', 'tool'];
    for (const name of others) await peer.resolveImage(name, pull, never);
    expect(asked).toEqual(others.map((name) => `pull ${name}`));
  });
});
