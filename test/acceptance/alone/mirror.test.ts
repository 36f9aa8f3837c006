import { randomBytes } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { busyboxGraph } from '../../process-kit/busybox-graph.ts';
import type { DaemonProcess } from '../../process-kit/daemon-process.ts';
import { placed } from '../../process-kit/large-artifact.ts';
import { BUSYBOX, podman, untilGone } from '../../process-kit/podman-containers.ts';
import { ProcessMesh } from '../../process-kit/process-mesh.ts';
import { daemonFile, LAYER_BYTES } from '../../process-kit/pushed-image.ts';
import { UpstreamRegistry } from '../../process-kit/upstream-registry.ts';

const MINUTES = 60_000;

/** Of the upstream's repositories, in the mesh. */
const PREFIX = 'up';

describe('a registry that peers may ask', () => {
  const ids = new Set<string>();
  let upstream: UpstreamRegistry;
  /** What the mesh has of it. */
  let known: readonly string[] = [];
  let cluster: ProcessMesh;
  let ann: DaemonProcess;
  let bob: DaemonProcess;
  /** May ask nobody. */
  let eve: DaemonProcess;

  beforeAll(async () => {
    upstream = await UpstreamRegistry.start();
    cluster = await ProcessMesh.start();
    const mirror = ['--mirror', `${upstream.host}=${PREFIX}`];
    [ann, bob, eve] = await Promise.all([
      cluster.addPeer('ann', { words: [...placed('ann'), ...mirror] }),
      cluster.addPeer('bob', { words: [...placed('bob'), ...mirror] }),
      cluster.addPeer('eve', { words: placed('eve') }),
    ]);
  }, 8 * MINUTES);

  afterAll(async () => {
    await forget();
    await cluster.stop();
    await upstream.stop();
  }, 8 * MINUTES);

  /** Podman, which all peers of a test share, has them no more. */
  async function forget(): Promise<void> {
    if (ids.size > 0) await podman('rmi', '--force', '--ignore', ...ids);
  }

  /** An image that says `word`, at the upstream and nowhere else. */
  async function publishUpstream(tag: string, word: string) {
    const context = join(cluster.folder, `context-${tag}`);
    await mkdir(context);
    await writeFile(join(context, 'said'), `${word}\n`);
    await writeFile(join(context, 'large'), randomBytes(LAYER_BYTES));
    await writeFile(join(context, 'Containerfile'), `FROM ${BUSYBOX}\nCOPY said large /\n`);
    const local = `localhost/podmesh-test/upstream-${randomBytes(3).toString('hex')}:1`;
    await podman('build', '-q', '--isolation', 'chroot', '-t', local, context);
    const folder = join(context, 'layout');
    await podman('save', '-q', '--format', 'oci-dir', '-o', folder, local);
    const image = await upstream.add('me/tool', tag, folder);
    ids.add(image.id);
    await podman('rmi', '--force', image.id);
    return image;
  }

  async function pullAt({ options }: DaemonProcess, tag: string): Promise<string> {
    const { registry } = await daemonFile(options.home);
    const said = await podman('pull', '-q', `${registry}/${PREFIX}/me/tool:${tag}`);
    return `sha256:${said.trim()}`;
  }

  async function saidAt(place: string, container: string): Promise<string> {
    const needs = { labels: [`place=${place}`] };
    const job = { id: 'says', container, needs, command: ['cat', '/said'], cache: false };
    const run = await cluster.publish(busyboxGraph([{ ...job, outputs: { said: 'fd:1' } }]));
    expect((await run.untilEnd()).state, run.told()).toBe('succeeded');
    // Its image cannot be taken away before.
    await untilGone({ run: run.run });
    const pieces: Uint8Array[] = [];
    for await (const piece of cluster.mesh.artifacts.get(run.outputs()['says/said'] as never))
      pieces.push(piece);
    return Buffer.concat(pieces).toString();
  }

  it(
    'is never asked by a peer that was not told to',
    async () => {
      await publishUpstream('0', 'nobody asked');
      await expect(pullAt(eve, '0')).rejects.toThrow(/manifest unknown/);
      expect(upstream.requests).toEqual([]);
    },
    8 * MINUTES,
  );

  it(
    'is asked once for each part of an image by the whole mesh, whoever wants it and however',
    async () => {
      const { id, paths } = await publishUpstream('1', 'from upstream');
      known = paths;
      expect(await pullAt(ann, '1')).toBe(id);
      await podman('rmi', '--force', id);
      // By the name that people know.
      expect(await saidAt('bob', `${upstream.host}/me/tool:1`)).toBe('from upstream\n');
      await podman('rmi', '--force', id);
      expect(await pullAt(bob, '1')).toBe(id);
      await podman('rmi', '--force', id);
      // Of the mesh by now, and so for everybody.
      expect(await saidAt('eve', `mesh/${PREFIX}/me/tool:1`)).toBe('from upstream\n');
      expect(upstream.requests.sort()).toEqual(paths);
    },
    10 * MINUTES,
  );

  it(
    'is asked once when all want it at the same time',
    async () => {
      upstream.requests.length = 0;
      const { id, paths } = await publishUpstream('2', 'at once');
      const both = await Promise.all([
        pullAt(ann, '2'),
        saidAt('bob', `${upstream.host}/me/tool:2`),
      ]);
      expect(both).toEqual([id, 'at once\n']);
      // The layer below was in the first one, too.
      const wanted = paths.filter((path) => !known.includes(path));
      expect(wanted).toHaveLength(paths.length - 1);
      expect(upstream.requests.sort()).toEqual(wanted);
    },
    10 * MINUTES,
  );

  it(
    'that is away is named by who asked it, and what the mesh has is had without it',
    async () => {
      await upstream.stop();
      await expect(pullAt(ann, '3')).rejects.toThrow(
        new RegExp(
          `this mesh has no image ${PREFIX}/me/tool:3, and ${upstream.host}/me/tool:3 cannot be had: .*ECONNREFUSED`,
        ),
      );
      await forget();
      expect(await saidAt('bob', `${upstream.host}/me/tool:1`)).toBe('from upstream\n');
    },
    8 * MINUTES,
  );
});
