import { isUtf8 } from 'node:buffer';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { chmod, lstat, mkdir, readdir, readFile, rm, statfs, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ClaimId, JobSecrets, SecretValues } from '@podmesh/core';
import { AttemptFailure } from '../execute/attempt-failure.ts';

/** `f_type` of statfs(2). */
const TMPFS_MAGIC = 0x01021994;
const SHARED_MEMORY = '/dev/shm';

/** Where the files of one attempt are, by the name that the task knows. */
export interface PlacedSecrets {
  readonly env: Readonly<Record<string, string>>;
  readonly files: Readonly<Record<string, string>>;
}

/**
 * Secrets of attempts as files in memory: never on a disk, gone with the machine. Below a directory of this user
 * alone; the files themselves may be read by anybody who sees them, since an image may have its own user.
 */
export class SecretFiles {
  readonly #candidates: readonly string[];
  readonly #name: string;
  #root: Promise<string> | undefined;

  /** `home` tells the daemons of one user apart. */
  constructor(env: NodeJS.ProcessEnv, home: string) {
    this.#candidates = [env.XDG_RUNTIME_DIR ?? '', SHARED_MEMORY].filter((path) => path !== '');
    const hash = createHash('sha256').update(home).digest('hex').slice(0, 16);
    this.#name = `podmesh-secrets-${process.getuid?.() ?? 0}-${hash}`;
  }

  /** Throws an `AttemptFailure` where a value cannot be what the task wants, or there is no memory for it. */
  async place(claim: ClaimId, secrets: JobSecrets, values: SecretValues): Promise<PlacedSecrets> {
    const directory = join(await this.#find(), claim);
    const placed = {
      env: await writeAll(join(directory, 'env'), secrets.env, (name) => variable(name, values)),
      files: await writeAll(join(directory, 'files'), secrets.files, (name) => values.get(name)),
    };
    return placed;
  }

  /** What an earlier session placed for an attempt; empty when nothing is there any more. */
  async values(claim: ClaimId): Promise<readonly Uint8Array[]> {
    const directory = join(await this.#find(), claim);
    const found: Uint8Array[] = [];
    for (const kind of ['env', 'files']) {
      for (const name of await readdir(join(directory, kind)).catch(() => [])) {
        found.push(await readFile(join(directory, kind, name)));
      }
    }
    return found;
  }

  /** Harmless when there is nothing. */
  async remove(claim: ClaimId): Promise<void> {
    if (this.#root === undefined) return;
    const directory = join(await this.#root, claim);
    // For every task, and most have none: a look costs a tenth of removing nothing.
    if (existsSync(directory)) await rm(directory, { recursive: true, force: true });
  }

  /** Takes away what a killed daemon left, but for these attempts. Never throws. */
  async sweep(kept: ReadonlySet<string>): Promise<void> {
    const root = await this.#find().catch(() => undefined);
    if (root === undefined) return;
    for (const name of await readdir(root).catch(() => [])) {
      if (!kept.has(name)) await rm(join(root, name), { recursive: true, force: true });
    }
  }

  #find(): Promise<string> {
    this.#root ??= this.#choose();
    this.#root.catch(() => {
      this.#root = undefined;
    });
    return this.#root;
  }

  async #choose(): Promise<string> {
    for (const memory of this.#candidates) {
      const type = await statfs(memory).then(
        (found) => found.type,
        () => 0,
      );
      if (type !== TMPFS_MAGIC) continue;
      const root = join(memory, this.#name);
      await mkdir(root, { mode: 0o700 }).catch(() => undefined);
      if (await isOurs(root)) return root;
    }
    const message =
      `this machine has no memory file system for secrets: ${this.#candidates.join(' and ')} ` +
      'is no tmpfs of this user; set XDG_RUNTIME_DIR';
    throw new AttemptFailure('start-failed', message);
  }
}

async function writeAll(
  directory: string,
  names: Readonly<Record<string, string>>,
  valueIn: (secret: string) => Uint8Array | undefined,
): Promise<Readonly<Record<string, string>>> {
  const placed: Record<string, string> = {};
  await mkdir(directory, { recursive: true, mode: 0o700 });
  for (const [name, secret] of Object.entries(names)) {
    const path = join(directory, name);
    const value = valueIn(secret);
    if (value === undefined) throw new Error(`broken invariant: no value of the secret ${secret}`);
    // A repeated start of the same attempt finds it there, and read-only.
    await rm(path, { force: true });
    await writeFile(path, value, { mode: 0o400 });
    // The mode of a new file is less by the umask.
    await chmod(path, 0o444);
    placed[name] = path;
  }
  return placed;
}

/** Files often end in a line end that nobody means in a variable. */
function variable(name: string, values: SecretValues): Uint8Array | undefined {
  const value = values.get(name);
  if (value === undefined) return undefined;
  const bytes = value.at(-1) === 0x0a ? value.subarray(0, -1) : value;
  if (!bytes.includes(0) && isUtf8(bytes)) return bytes;
  throw new AttemptFailure(
    'start-failed',
    `the secret ${name} is not text without NUL characters and cannot be an environment variable; give it as a file`,
  );
}

async function isOurs(directory: string): Promise<boolean> {
  const found = await lstat(directory).catch(() => undefined);
  if (found === undefined) return false;
  return found.isDirectory() && found.uid === process.getuid?.() && (found.mode & 0o077) === 0;
}
