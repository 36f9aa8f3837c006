import { lstat, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';

const NAME = /^podmesh-\d{1,5}\.conf$/;
const OWNER = /^# of the podmesh daemon (\d+)/;

/**
 * Tells Podman, skopeo and buildah of this user that the registry on that port speaks plain HTTP, which they believe of
 * nobody, not even of loopback, without being told. A file of its own in the user's `registries.conf.d`; nothing of the
 * user's is touched.
 */
export class RegistriesFile {
  readonly #folder: string;
  readonly #pid: number;
  #path: string | undefined;

  constructor(env: NodeJS.ProcessEnv, pid: number = process.pid) {
    this.#folder = join(env.HOME || homedir(), '.config', 'containers', 'registries.conf.d');
    this.#pid = pid;
  }

  /** Throws where the name belongs to a file that no daemon wrote. */
  async write(port: number): Promise<void> {
    await mkdir(this.#folder, { recursive: true, mode: 0o755 });
    await this.#sweep();
    const path = join(this.#folder, `podmesh-${port}.conf`);
    if ((await ownerOf(path)) === undefined && (await isThere(path)))
      throw new Error(`${path} is not from podmesh; move it away`);
    const hosts = ['localhost', '127.0.0.1', '[::1]'];
    const text = [
      `# of the podmesh daemon ${this.#pid}, which takes it away when it ends`,
      ...hosts.map((host) => `[[registry]]\nlocation = "${host}:${port}"\ninsecure = true`),
    ];
    // Only what ends in .conf is read, so nobody sees half of it.
    const temporary = `${path}.${this.#pid}.new`;
    await writeFile(temporary, `${text.join('\n')}\n`, { mode: 0o644 });
    await rename(temporary, path);
    this.#path = path;
  }

  /** Harmless when it was never written, twice, and when another daemon has the name by now. */
  async remove(): Promise<void> {
    const path = this.#path;
    this.#path = undefined;
    if (path !== undefined && (await ownerOf(path)) === this.#pid) await rm(path, { force: true });
  }

  /** What killed daemons left. */
  async #sweep(): Promise<void> {
    for (const name of await readdir(this.#folder)) {
      if (!NAME.test(name)) continue;
      const path = join(this.#folder, name);
      const owner = await ownerOf(path);
      if (owner !== undefined && !isAlive(owner)) await rm(path, { force: true });
    }
  }
}

async function ownerOf(path: string): Promise<number | undefined> {
  const text = await readFile(path, 'utf8').catch(() => '');
  const found = OWNER.exec(text)?.[1];
  return found === undefined ? undefined : Number(found);
}

async function isThere(path: string): Promise<boolean> {
  return (await lstat(path).catch(() => undefined)) !== undefined;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}
