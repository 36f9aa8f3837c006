import { randomBytes } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type ArtifactId, artifactId } from '@podmesh/core';
import { BUSYBOX, podman } from './podman-containers.ts';

/** Of the layer that makes an image large enough to move between peers, and not through the server. */
export const LAYER_BYTES = 5 * 2 ** 20;

export interface PushedImage {
  /** Podman's id. */
  readonly id: string;
  /** Of the large layer. */
  readonly layer: ArtifactId;
}

/** Where the daemon of a home is found: its mesh, and where programs of this machine push to it. */
export async function daemonFile(
  home: string,
): Promise<{ readonly nats: string; readonly registry: string }> {
  const text = await readFile(join(home, 'daemon.json'), 'utf8');
  const { nats, registry } = JSON.parse(text) as { nats: string; registry?: string };
  if (registry === undefined) throw new Error(`no registry at ${home}: ${text}`);
  return { nats, registry };
}

/**
 * Builds an image that says `word` and has a layer that was never there before, pushes it from outside, and takes it out
 * of Podman, which all peers of a test share.
 */
export async function pushImage(folder: string, to: string, word: string): Promise<PushedImage> {
  const context = join(folder, `context-${randomBytes(3).toString('hex')}`);
  await mkdir(context);
  await writeFile(join(context, 'said'), `${word}\n`);
  await writeFile(join(context, 'large'), randomBytes(LAYER_BYTES));
  await writeFile(join(context, 'Containerfile'), `FROM ${BUSYBOX}\nCOPY said large /\n`);
  const local = `localhost/podmesh-test/pushed-${randomBytes(3).toString('hex')}:1`;
  await podman('build', '-q', '--isolation', 'chroot', '-t', local, context);
  const [image] = JSON.parse(await podman('image', 'inspect', local)) as { Id: string }[];
  const id = `sha256:${image?.Id}`;
  try {
    await podman('push', local, to);
  } finally {
    await podman('rmi', '--force', id);
  }
  const response = await fetch(manifestUrl(to));
  const { layers } = (await response.json()) as { layers: { digest: string; size: number }[] };
  const large = layers.find(({ size }) => size > LAYER_BYTES / 2);
  return { id, layer: artifactId(large?.digest ?? '') };
}

/** `localhost:PORT/me/tool:1` */
function manifestUrl(reference: string): string {
  const [, host = '', name = '', tag = ''] = /^([^/]+)\/(.+):([^:]+)$/.exec(reference) ?? [];
  return `http://${host}/v2/${name}/manifests/${tag}`;
}
