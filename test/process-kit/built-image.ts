import { execFile } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { type ArtifactId, artifactId } from '@podmesh/core';
import type { Mesh } from '@podmesh/jetstream';
import { shell } from './busybox-graph.ts';
import { BUSYBOX, podman } from './podman-containers.ts';
import { LAYER_BYTES } from './pushed-image.ts';

/** An image with a layer that was never there before, as an archive in the mesh. Podman has nothing of it but what is below it. */
export interface BaseImage {
  readonly archive: ArtifactId;
  /** In the archive: that of the image below it, which Podman has, and its own large one. */
  readonly layers: readonly { readonly digest: ArtifactId; readonly name: string }[];
  readonly arch: string;
}

/** As `podman save` writes it in that format: its layers are compressed in an OCI archive, and not in a docker archive. */
export async function saveBase(
  folder: string,
  mesh: Mesh,
  format: 'docker-archive' | 'oci-archive' = 'docker-archive',
): Promise<BaseImage> {
  const context = join(folder, `context-${randomBytes(3).toString('hex')}`);
  await mkdir(context);
  await writeFile(join(context, 'large'), randomBytes(LAYER_BYTES));
  await writeFile(join(context, 'Containerfile'), `FROM ${BUSYBOX}\nCOPY large /\n`);
  const local = `localhost/podmesh-test/base-${randomBytes(3).toString('hex')}:1`;
  const path = join(context, 'base.tar');
  await podman('build', '-q', '--isolation', 'chroot', '-t', local, context);
  const [image] = JSON.parse(await podman('image', 'inspect', local)) as {
    Id: string;
    Architecture: string;
    RootFS: { Layers: string[] };
  }[];
  try {
    await podman('save', '-q', '--format', format, '-o', path, local);
  } finally {
    await podman('rmi', '--force', image?.Id ?? local);
  }
  const layers =
    format === 'oci-archive'
      ? await ociLayers(path)
      : await dockerLayers(path, image?.RootFS.Layers ?? []);
  const bytes = await readFile(path);
  const archive = artifactId(`sha256:${createHash('sha256').update(bytes).digest('hex')}`);
  await mesh.artifacts.put({ digest: archive, kind: 'file', bytes: bytes.length }, once(bytes));
  return { archive, layers, arch: image?.Architecture ?? '' };
}

async function dockerLayers(path: string, digests: readonly string[]) {
  const [{ Layers: names } = { Layers: [] }] = JSON.parse(await textIn(path, 'manifest.json')) as {
    Layers: string[];
  }[];
  return names.map((name, i) => ({ name, digest: artifactId(digests[i] ?? '') }));
}

async function ociLayers(path: string) {
  const blob = ({ digest }: { digest: string }) => `blobs/${digest.replace(':', '/')}`;
  const index = JSON.parse(await textIn(path, 'index.json')) as { manifests: { digest: string }[] };
  const [top = { digest: '' }] = index.manifests;
  const { layers } = JSON.parse(await textIn(path, blob(top))) as { layers: { digest: string }[] };
  return layers.map((layer) => ({ name: blob(layer), digest: artifactId(layer.digest) }));
}

const textIn = async (archive: string, name: string): Promise<string> =>
  (await promisify(execFile)('tar', ['xOf', archive, name])).stdout;

/** A job that adds a layer with `/said` to the base, by nothing but a shell, and leaves the image as an archive. */
export function buildsOn({ archive, layers, arch }: BaseImage, word: string) {
  const ids = layers.map(({ digest }) => `"${digest}"`).join();
  const names = layers.map(({ name }) => `"${name}"`).join();
  const config = `{"architecture":"${arch}","os":"linux","config":{},"rootfs":{"type":"layers","diff_ids":[${ids},"sha256:'$added'"]}}`;
  const list = `[{"Config":"config.json","RepoTags":null,"Layers":[${names},"added.tar"]}]`;
  return {
    id: 'build',
    inputs: { base: archive },
    command: shell(
      'set -e',
      `mkdir /tmp/work && cd /tmp/work && tar xf /in/base ${layers.map(({ name }) => name).join(' ')}`,
      `echo '${word}' > said && tar cf added.tar said`,
      "added=$(sha256sum added.tar | cut -d' ' -f1)",
      `echo '${config}' > config.json`,
      `echo '${list}' > manifest.json`,
      'tar cf /tmp/image manifest.json config.json *.tar',
    ),
    outputs: { image: 'file:/tmp/image' },
  };
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
