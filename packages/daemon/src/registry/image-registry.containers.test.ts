import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { systemClock, TransferError } from '@podmesh/transfer';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DiskStore } from '../store/disk-store.ts';
import { ROOMY } from '../store/store.test-kit.ts';
import { ArtifactBlobs } from './artifact-blobs.ts';
import { ImageRegistry } from './image-registry.ts';
import { ALICE, fakePorts, SILENT } from './registry.test-kit.ts';

const MINUTES = 60_000;
const COMMAND_MS = 120_000;
const BUSYBOX = 'localhost/podmesh/busybox:1';
const LOCAL = 'localhost/podmesh-test/registry:1';

/** A peer's registry on its disk, and the tools as their users have them: told of it by nothing but its own file. */
describe('the tools that people push and pull with', () => {
  const mesh = fakePorts();
  let folder: string;
  let store: DiskStore;
  let registry: ImageRegistry;
  let here: string;
  let id: string;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'podmesh-registry-'));
    store = new DiskStore(join(folder, 'store'), { limits: ROOMY });
    await store.prepare();
    const fromPeers = {
      get: async (artifact: Parameters<ArtifactBlobs['find']>[0]) => {
        throw new TransferError(artifact, 'no-source');
      },
      nobodyHas: async (artifacts: readonly Parameters<ArtifactBlobs['find']>[0][]) =>
        new Set(artifacts),
    };
    const { artifacts, finder } = mesh;
    const blobs = new ArtifactBlobs({ store, artifacts, finder, fromPeers });
    const rest = { clock: systemClock, logger: SILENT, env: process.env, port: undefined };
    registry = new ImageRegistry({ peer: ALICE, mesh, store, blobs, ...rest });
    await registry.start();
    here = `localhost:${registry.port}`;
    await mkdir(join(folder, 'context'));
    await writeFile(join(folder, 'context', 'said'), `hello ${Date.now()}\n`);
    await writeFile(join(folder, 'Containerfile'), `FROM ${BUSYBOX}\nCOPY said /said\n`);
    const build = ['build', '-q', '--isolation', 'chroot', '-t', LOCAL];
    id = (
      await run('podman', ...build, '-f', join(folder, 'Containerfile'), join(folder, 'context'))
    ).trim();
  }, 3 * MINUTES);

  afterAll(async () => {
    await registry.stop();
    await store.stop();
    await run('podman', 'rmi', '--force', '--ignore', id);
    await rm(folder, { recursive: true, force: true });
  }, 2 * MINUTES);

  it(
    'podman pushes, and pulls the same image',
    async () => {
      await run('podman', 'push', LOCAL, `${here}/me/tool:1`);
      expect(await mesh.imageTags.find('me/tool', '1')).toMatchObject({ by: ALICE });
      await run('podman', 'rmi', '--force', id);
      const pulled = await run('podman', 'pull', '-q', `${here}/me/tool:1`);
      expect(pulled.trim()).toBe(id);
      await run('podman', 'tag', id, LOCAL);
      // What is there is not sent again.
      const again = await run('podman', 'push', `${here}/me/tool:1`, `${here}/me/tool:2`);
      expect(again).toBe('');
    },
    2 * MINUTES,
  );

  it(
    'skopeo inspects, lists, copies in both formats and to files, and removes',
    async () => {
      const image = `docker://${here}/me/tool:1`;
      const seen = JSON.parse(await run('skopeo', 'inspect', image)) as { RepoTags: string[] };
      expect(seen.RepoTags).toEqual(['1', '2']);
      const config = JSON.parse(await run('skopeo', 'inspect', '--config', image)) as {
        os: string;
      };
      expect(config.os).toBe('linux');
      const docker = `docker://${here}/me/docker:1`;
      await run('skopeo', 'copy', '--format', 'v2s2', image, docker);
      const raw = JSON.parse(await run('skopeo', 'inspect', '--raw', docker)) as {
        mediaType: string;
      };
      expect(raw.mediaType).toBe('application/vnd.docker.distribution.manifest.v2+json');
      await run('skopeo', 'copy', docker, `dir:${join(folder, 'dir')}`);
      const layout = `oci:${join(folder, 'layout')}:1`;
      await run('skopeo', 'copy', image, layout);
      await run('skopeo', 'copy', layout, `docker://${here}/me/again:1`);
      const tags = JSON.parse(
        await run('skopeo', 'list-tags', `docker://${here}/me/again`),
      ) as object;
      expect(tags).toEqual({ Repository: `${here}/me/again`, Tags: ['1'] });
      await run('skopeo', 'delete', `docker://${here}/me/again:1`);
      await expect(run('skopeo', 'inspect', `docker://${here}/me/again:1`)).rejects.toThrow(
        /manifest unknown/,
      );
    },
    3 * MINUTES,
  );

  it(
    'podman pushes an index, and pulls the image of it that is for the machine',
    async () => {
      const list = `localhost/podmesh-test/list:${process.pid}`;
      await run('podman', 'manifest', 'create', list, `containers-storage:${LOCAL}`);
      try {
        await run('podman', 'manifest', 'push', '--all', list, `docker://${here}/me/multi:1`);
      } finally {
        await run('podman', 'manifest', 'rm', list);
      }
      const raw = await run('skopeo', 'inspect', '--raw', `docker://${here}/me/multi:1`);
      expect(JSON.parse(raw)).toMatchObject({ manifests: [{ platform: { os: 'linux' } }] });
      await run('podman', 'rmi', '--force', id);
      await run('podman', 'pull', '-q', `${here}/me/multi:1`);
      const said = ['run', '--rm', '--network', 'none', `${here}/me/multi:1`, 'cat', '/said'];
      expect(await run('podman', ...said)).toContain('hello');
      await run('podman', 'tag', `${here}/me/multi:1`, LOCAL);
    },
    3 * MINUTES,
  );

  it(
    'buildah pulls, and pushes what it made of it',
    async () => {
      const container = (await run('buildah', 'from', `${here}/me/tool:1`)).trim();
      try {
        await run('buildah', 'config', '--label', 'made=here', container);
        const name = `${here}/me/made:1`;
        const made = (await run('buildah', 'commit', '-q', container, name)).trim();
        await run('buildah', 'push', '-q', name);
        await run('buildah', 'rmi', '--force', made);
      } finally {
        await run('buildah', 'rm', container);
      }
      const made = await run('skopeo', 'inspect', `docker://${here}/me/made:1`);
      expect(JSON.parse(made)).toMatchObject({ Labels: { made: 'here' } });
    },
    3 * MINUTES,
  );

  it(
    'show in their own words what the registry says',
    async () => {
      await expect(run('podman', 'pull', `${here}/nobody/tool:1`)).rejects.toThrow(
        /manifest unknown/,
      );
    },
    2 * MINUTES,
  );
});

/** Standard output; throws with all that the tool said. */
async function run(program: string, ...words: readonly string[]): Promise<string> {
  const options = { timeout: COMMAND_MS, maxBuffer: 16 * 2 ** 20 };
  return (await promisify(execFile)(program, words, options)).stdout;
}
