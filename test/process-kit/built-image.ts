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

export async function saveBase(folder: string, mesh: Mesh): Promise<BaseImage> {
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
    await podman('save', '-q', '--format', 'docker-archive', '-o', path, local);
  } finally {
    await podman('rmi', '--force', image?.Id ?? local);
  }
  const said = await promisify(execFile)('tar', ['xOf', path, 'manifest.json']);
  const [{ Layers: names } = { Layers: [] }] = JSON.parse(said.stdout) as { Layers: string[] }[];
  const digests = image?.RootFS.Layers ?? [];
  const bytes = await readFile(path);
  const archive = artifactId(`sha256:${createHash('sha256').update(bytes).digest('hex')}`);
  await mesh.artifacts.put({ digest: archive, kind: 'file', bytes: bytes.length }, once(bytes));
  return {
    archive,
    layers: names.map((name, i) => ({ name, digest: artifactId(digests[i] ?? '') })),
    arch: image?.Architecture ?? '',
  };
}

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
      'mkdir /tmp/work && cd /tmp/work && tar xf /in/base',
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
