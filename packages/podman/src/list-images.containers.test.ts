import { execFile, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, it, onTestFinished, vi } from 'vitest';
import { PodmanRuntime } from './podman-runtime.ts';

const run = promisify(execFile);

/** A Podman with a store of its own, because images are broken in it; gone with the test. */
async function ownPodman() {
  const folder = await mkdtemp(join(tmpdir(), 'podmesh-broken-'));
  const place = ['--root', join(folder, 'root'), '--runroot', join(folder, 'run')];
  const words = [...place, '--storage-driver', 'vfs'];
  const podman = async (...more: string[]) => (await run('podman', [...words, ...more])).stdout;
  const socket = join(folder, 'podman.sock');
  const service = spawn(
    'podman',
    [...words, 'system', 'service', '--time', '0', `unix://${socket}`],
    {
      stdio: 'ignore',
    },
  );
  onTestFinished(async () => {
    const ended = new Promise((resolve) => service.once('exit', resolve));
    service.kill();
    await ended;
    await run('podman', ['unshare', 'rm', '-rf', folder]);
  });
  await vi.waitFor(() => expect(existsSync(socket)).toBe(true), { timeout: 120_000, interval: 50 });
  const add = async (name: string): Promise<string> => {
    const file = join(folder, name);
    await writeFile(file, name);
    await run('tar', ['-C', folder, '-cf', `${file}.tar`, name]);
    await podman('import', `${file}.tar`, `localhost/${name}:1`);
    const id = await podman('image', 'inspect', '--format', '{{.Id}}', `localhost/${name}:1`);
    return id.trim();
  };
  const tear = (id: string) =>
    writeFile(join(folder, 'root', 'vfs-images', id, 'manifest'), 'torn');
  return { socket, add, tear };
}

it('lists what there is beside images that Podman itself stumbles over, and tells of each once', async () => {
  const { socket, add, tear } = await ownPodman();
  const ids: string[] = [];
  for (const name of ['one', 'two', 'three', 'four']) ids.push(await add(name));
  const [one = '', two = '', three = '', four = ''] = ids;
  const broken: string[] = [];
  const runtime = new PodmanRuntime({
    socketPath: socket,
    onBrokenImage: (image) => broken.push(image),
  });
  onTestFinished(() => runtime.close());
  expect((await runtime.images()).size).toBe(4);
  await tear(two);
  await tear(four);
  for (let times = 0; times < 2; times += 1) {
    const images = [...(await runtime.images()).keys()];
    expect(images.sort()).toEqual([`sha256:${one}`, `sha256:${three}`].sort());
  }
  expect(broken.sort()).toEqual([`sha256:${two}`, `sha256:${four}`].sort());
});
