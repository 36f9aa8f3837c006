import {
  type ArtifactId,
  type ImageProblem,
  ok,
  type Result,
  refused,
  runId,
  taskId,
} from '@podmesh/core';
import { describe, expect, it } from 'vitest';
import { idOf, imageOf, tarOf } from '../../../registry/src/archive/archive.test-kit.ts';
import { onePiece } from '../store/one-piece.ts';
import { ArchiveParts } from './archive-parts.ts';
import { JobImages, type JobImagesParts } from './job-images.ts';
import { MeshImages } from './mesh-images.ts';
import { never, newBlobs, SILENT } from './registry.test-kit.ts';
import { ServedManifests } from './served-manifests.ts';

const OF = { run: runId('0123456789ab'), task: taskId('build') };
const image = imageOf(['the base', 'what was added']);
const archive = tarOf(image.oci);
const ID = idOf(archive);
const MANIFEST = idOf(image.manifest);
/** All that another peer has which took the archive apart. */
const PARTS = ['the base', 'what was added', image.config, image.manifest];

interface Wish {
  readonly elsewhere?: readonly string[];
  readonly local?: ReadonlyMap<string, number>;
  readonly port?: number;
  readonly pull?: (reference: string) => Result<string, ImageProblem>;
}

/** A peer, what its Podman was asked for, and how often the archive itself was brought. */
async function newPeer({
  elsewhere = [],
  local,
  port = 5055,
  pull = () => ok('pulled'),
}: Wish = {}) {
  const { blobs, ports, store, transfers } = await newBlobs({ elsewhere });
  const asked: string[] = [];
  const here = new Set<string>();
  const runtime: JobImagesParts['runtime'] = {
    resolveImage: async (reference, pulls) => {
      asked.push(`${pulls === false ? 'look' : 'pull'} ${reference}`);
      if (here.has(reference)) return ok(reference);
      return pulls === false
        ? refused({ kind: 'unavailable', message: 'not here' })
        : pull(reference);
    },
    loadImage: async (path) => {
      asked.push(`load ${path}`);
      return ok('loaded');
    },
  };
  const served = new ServedManifests(ports.imageManifests);
  const images = new JobImages({
    archives: new ArchiveParts(store, blobs),
    archived: ports.archivedImages,
    images: new MeshImages({ tags: ports.imageTags, blobs }),
    blobs,
    store,
    served,
    runtime,
    localLayers: async () => local ?? new Map(),
    port: () => port,
    logger: SILENT,
  });
  let brought = 0;
  const bringing = (bytes: Buffer) => async () => {
    brought += 1;
    return store.pathOf((await store.write(onePiece(bytes), 'copy')).digest);
  };
  const resolve = (bytes = archive) =>
    images.resolve(idOf(bytes), {
      bring: bringing(bytes),
      progress: () => undefined,
      signal: never,
    });
  const knows = () =>
    ports.archivedImages.note(ID, {
      digest: MANIFEST,
      mediaType: OCI,
      bytes: image.manifest.length,
    });
  return {
    images,
    store,
    ports,
    served,
    asked,
    here,
    transfers,
    resolve,
    knows,
    brought: () => brought,
  };
}

const OCI = 'application/vnd.oci.image.manifest.v1+json';
const local = (digest: string) => `127.0.0.1:5055/podmesh/jobs@${digest}`;

describe('an image that a job left as an archive', () => {
  it('comes by its parts where somebody took it apart, and never as a whole', async () => {
    const peer = await newPeer({ elsewhere: PARTS });
    await peer.knows();
    expect(await peer.resolve()).toEqual(ok('pulled'));
    expect(peer.brought()).toBe(0);
    expect(peer.transfers.map(({ artifact }) => artifact).sort()).toEqual(PARTS.map(idOf).sort());
    expect(peer.asked).toEqual([`look ${idOf(image.config)}`, `pull ${local(MANIFEST)}`]);
    expect(await peer.served.find('podmesh/jobs', MANIFEST)).toMatchObject({ digest: MANIFEST });
    expect(await peer.served.find('me/tool', MANIFEST)).toBeUndefined();
    // Nothing of it crosses a second time.
    await peer.resolve();
    expect(peer.transfers).toHaveLength(PARTS.length);
  });

  it('comes from nowhere where the archive is', async () => {
    const peer = await newPeer({ elsewhere: PARTS });
    await peer.knows();
    await peer.store.write(onePiece(archive));
    expect(await peer.resolve()).toEqual(ok('pulled'));
    expect(peer.transfers).toEqual([]);
    expect(peer.asked.at(-1)).toBe(`pull ${local(MANIFEST)}`);
  });

  it('is asked of nobody but Podman when it was there before', async () => {
    const peer = await newPeer({ elsewhere: PARTS });
    await peer.knows();
    await peer.resolve();
    peer.here.add(idOf(image.config));
    peer.ports.archivedImages.find = () => Promise.reject(new Error('was asked'));
    expect(await peer.resolve()).toEqual(ok(idOf(image.config)));
    // Somebody removed it.
    peer.here.clear();
    expect(await peer.resolve()).toEqual(ok('pulled'));
  });

  it('does not come at all where Podman has it', async () => {
    const peer = await newPeer({ elsewhere: [image.manifest] });
    await peer.knows();
    peer.here.add(idOf(image.config));
    expect(await peer.resolve()).toEqual(ok(idOf(image.config)));
    expect(peer.transfers).toHaveLength(1);
  });

  it('comes without the layers that Podman has, and with them where it turns out to need them', async () => {
    const layers = new Map([[idOf('the base'), 8]]);
    const elsewhere = [image.config, image.manifest, 'what was added'];
    const peer = await newPeer({ elsewhere, local: layers });
    await peer.knows();
    expect(await peer.resolve()).toEqual(ok('pulled'));
    expect(peer.transfers.map(({ artifact }) => artifact).sort()).toEqual(
      elsewhere.map(idOf).sort(),
    );
    const [, asked = ''] = peer.asked;
    expect(asked).toMatch(/^pull 127.0.0.1:5055\/podmesh\/jobs@sha256:/);
    const told = asked.slice(asked.indexOf('sha256:')) as ArtifactId;
    expect(await peer.served.find('podmesh/jobs', told)).toMatchObject({ digest: told });
    expect(await peer.store.has(told)).toBe(true);

    const gone = await newPeer({
      elsewhere: PARTS,
      local: layers,
      pull: (reference) =>
        reference === local(MANIFEST)
          ? ok('pulled')
          : refused({ kind: 'unavailable', message: 'gone' }),
    });
    await gone.knows();
    expect(await gone.resolve()).toEqual(ok('pulled'));
    expect(gone.transfers).toHaveLength(PARTS.length);
  });

  it('comes with all of its layers where they cannot be spared', async () => {
    const deep = `${'['.repeat(200_000)}${']'.repeat(200_000)}`;
    const manifest = image.manifest.replace(/}$/, `,"annotations":{"deep":${deep}}}`);
    const peer = await newPeer({
      elsewhere: [...PARTS, manifest],
      local: new Map([[idOf('the base'), 8]]),
    });
    const digest = idOf(manifest);
    await peer.ports.archivedImages.note(ID, { digest, mediaType: OCI, bytes: manifest.length });
    expect(await peer.resolve()).toEqual(ok('pulled'));
    expect(peer.asked.at(-1)).toBe(`pull ${local(digest)}`);
    expect(peer.transfers).toHaveLength(PARTS.length);
  });

  it.each([
    ['nobody has taken it apart', undefined],
    ['a layer of it is nowhere any more', ['the base', image.config, image.manifest]],
    ['its manifest is nowhere any more', ['the base']],
  ])('is made of the archive where %s, and others are told', async (_, elsewhere) => {
    const peer = await newPeer({ ...(elsewhere && { elsewhere }) });
    if (elsewhere !== undefined) await peer.knows();
    expect(await peer.resolve()).toEqual(ok('pulled'));
    expect(peer.brought()).toBe(1);
    // Nothing large comes twice, once as a layer and once in the archive.
    const came = peer.transfers.map(({ artifact }) => artifact);
    expect(came).not.toContain(idOf('the base'));
    expect(peer.asked.at(-1)).toBe(`pull ${local(MANIFEST)}`);
    expect(await peer.ports.archivedImages.find(ID)).toMatchObject({ digest: MANIFEST });
  });

  it('is loaded as a whole where only Podman can read it, and where this peer has no registry', async () => {
    const foreign = Buffer.from('28b52ffd', 'hex');
    const peer = await newPeer();
    expect(await peer.resolve(foreign)).toEqual(ok('loaded'));
    const closed = await newPeer({ port: 0 });
    expect(await closed.resolve()).toEqual(ok('loaded'));
    expect(closed.asked).toEqual([`load ${closed.store.pathOf(ID)}`]);
  });

  it('is loaded as a whole where Podman does not take it from this peer', async () => {
    const peer = await newPeer({ pull: () => refused({ kind: 'unavailable', message: 'no' }) });
    expect(await peer.resolve()).toEqual(ok('loaded'));
  });

  it('for another platform is not tried again in another way', async () => {
    const problem = { kind: 'platform', message: 'arm64' } as const;
    const peer = await newPeer({ elsewhere: PARTS, pull: () => refused(problem) });
    await peer.knows();
    expect(await peer.resolve()).toEqual(refused(problem));
    expect(peer.brought()).toBe(0);
  });

  it('that is none is refused in words that name it', async () => {
    const peer = await newPeer();
    const garbage = Buffer.from('garbage');
    expect(await peer.resolve(garbage)).toMatchObject({
      error: {
        kind: 'not-an-image',
        message: `the image archive ${idOf(garbage)} is cut off: it has 7 bytes, and an entry ends at 512`,
      },
    });
  });

  it.each([
    ['', 5055],
    [', and where this peer has no registry', 0],
  ])(
    'is refused where its manifest sends Podman elsewhere, also when an older peer noted it%s',
    async (_, port) => {
      const { layers, ...said } = JSON.parse(image.manifest);
      const [first, ...rest] = layers;
      const manifest = JSON.stringify({
        ...said,
        layers: [{ ...first, urls: ['http://169.254.169.254/'] }, ...rest],
      });
      const named = (text: string) => `blobs/sha256/${idOf(text).slice('sha256:'.length)}`;
      const entries = image.oci.map(({ name, text, ...entry }) => {
        if (text === image.manifest) return { ...entry, name: named(manifest), text: manifest };
        if (name !== 'index.json')
          return { ...entry, name, ...(text === undefined ? {} : { text }) };
        const [descriptor] = JSON.parse(String(text)).manifests;
        const told = { ...descriptor, digest: idOf(manifest), size: manifest.length };
        return { name, text: JSON.stringify({ schemaVersion: 2, manifests: [told] }) };
      });
      const sending = tarOf(entries);
      const peer = await newPeer({ elsewhere: [...PARTS, manifest], port });
      const noted = { digest: idOf(manifest), mediaType: OCI, bytes: manifest.length };
      await peer.ports.archivedImages.note(idOf(sending), noted);
      const found = await peer.resolve(sending);
      expect(found).toMatchObject({ ok: false, error: { kind: 'not-an-image' } });
      expect(JSON.stringify(found)).toContain('fetched from elsewhere');
      expect(peer.asked).toEqual([]);
    },
  );

  it('is asked of the archive where the mesh does not tell', async () => {
    const peer = await newPeer();
    peer.ports.archivedImages.find = () => Promise.reject(new Error('an older mesh'));
    peer.ports.archivedImages.note = () => Promise.reject(new Error('an older mesh'));
    expect(await peer.resolve()).toEqual(ok('pulled'));
  });
});

describe('who makes an image', () => {
  it('takes it apart, and keeps its parts as long as the outputs of its task', async () => {
    const { images, store, ports } = await newPeer();
    await store.write(onePiece(archive));
    expect(await images.takeApart(ID, OF, never)).toBeUndefined();
    expect(await ports.archivedImages.find(ID)).toMatchObject({ digest: MANIFEST });
    for (const part of PARTS) expect(store.pins.isPinned(idOf(part))).toBe(true);
    await store.runPins.release({ run: OF.run, tasks: [OF.task], as: 'spent' });
    for (const part of PARTS) expect(store.pins.isPinned(idOf(part))).toBe(false);
  });

  it('is told what is wrong with it, and nothing of what others can mend', async () => {
    const { images, store, ports } = await newPeer();
    const garbage = Buffer.from('garbage');
    await store.write(onePiece(garbage));
    expect(await images.takeApart(idOf(garbage), OF, never)).toMatch(
      /the image archive .* is cut off/,
    );
    await store.write(onePiece(archive));
    ports.archivedImages.note = () => Promise.reject(new Error('the mesh is away'));
    expect(await images.takeApart(ID, OF, never)).toBeUndefined();
    const gone = idOf('not here at all');
    expect(await images.takeApart(gone, OF, never)).toBeUndefined();
  });
});
