import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

interface OciConfig {
  root: { path: string; readonly: boolean };
  process: { args: string[] };
  linux: { cgroupsPath?: string; namespaces: { type: string; path?: string }[] };
}

/**
 * `crun run` alone, by GNU parallel, with the recipe that Podman writes for a locked-up container, on
 * bundles prepared beforehand: what is left when nobody keeps books. Seconds for `count` of them.
 */
export async function rawCrun(image: string, count: number, jobs: number): Promise<number> {
  const folder = await mkdtemp(join(tmpdir(), 'podmesh-raw-crun-'));
  const container = await createContainer(image);
  try {
    const recipe = await takeRecipe(container);
    const mounted = (await run('podman', ['unshare', 'podman', 'image', 'mount', image])).stdout;
    recipe.root = { path: 'rootfs', readonly: false };
    for (let job = 1; job <= jobs; job += 1) {
      const bundle = join(folder, String(job));
      await mkdir(bundle);
      await writeFile(join(bundle, 'config.json'), JSON.stringify(recipe));
      await run('podman', ['unshare', 'cp', '-a', mounted.trim(), join(bundle, 'rootfs')]);
    }
    const one = 'crun --root "$FOLDER/state" --cgroup-manager=disabled run --bundle "$FOLDER/{%}"';
    const script = `time -p parallel -j${jobs} '${one} raw-{}' ::: $(seq ${count})`;
    const env = { ...process.env, FOLDER: folder };
    const { stderr } = await run('podman', ['unshare', 'bash', '-c', script], { env });
    const seconds = Number(/^real ([\d.]+)$/m.exec(stderr)?.[1]);
    if (!Number.isFinite(seconds)) throw new Error(`crun: ${stderr}`);
    return seconds;
  } finally {
    await run('podman', ['rm', '--force', '--time', '0', container]);
    await run('podman', ['unshare', 'podman', 'image', 'unmount', image]).catch(() => undefined);
    await run('podman', ['unshare', 'rm', '-rf', folder]);
  }
}

/** Its bind mounts lie in the container that it was written for, which therefore stays until the end. */
async function takeRecipe(id: string): Promise<OciConfig> {
  await run('podman', ['init', id]);
  const path = await run('podman', ['inspect', '--format', '{{.OCIConfigPath}}', id]);
  const recipe = JSON.parse(await readFile(path.stdout.trim(), 'utf8')) as OciConfig;
  delete recipe.linux.cgroupsPath;
  recipe.linux.namespaces = recipe.linux.namespaces.map(({ type }) => ({ type }));
  return recipe;
}

async function createContainer(image: string): Promise<string> {
  const options = ['--network', 'none', '--cap-drop', 'all', '--security-opt', 'no-new-privileges'];
  return (await run('podman', ['create', ...options, image, 'true'])).stdout.trim();
}
