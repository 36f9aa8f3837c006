import { createHash } from 'node:crypto';
import {
  chmodSync,
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmdirSync,
  rmSync,
  unlinkSync,
} from 'node:fs';
import { chmod, lstat, mkdir, readlink, rename, rm, symlink } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import type { ClaimId } from '@podmesh/core';

const LINK = 'sockets';
const SHARED_MEMORY = '/dev/shm';

/** The name of the socket in an attempt's directory. */
const SOCKET_NAME = 'sock';

/**
 * The directories of one home's sockets, one per attempt. In memory where the machine has a place for that: there
 * they cost half. A link in the home leads to it, so that a daemon that comes back finds those of containers that
 * still run. Only this user can enter; a container is let in by a mount.
 */
export class SocketPlace {
  readonly #path: string;
  readonly #link: string;
  /** The path of a socket is short; by way of an open directory any is short enough. */
  readonly #descriptor: number;

  private constructor(path: string, link: string) {
    this.#path = path;
    this.#link = link;
    this.#descriptor = openSync(path, 'r');
  }

  /** Throws where no directory can be made. */
  static async open(home: string, env: NodeJS.ProcessEnv): Promise<SocketPlace> {
    const link = join(resolve(home), LINK);
    const name = `podmesh-sockets-${process.getuid?.() ?? 0}-${hashOf(home)}`;
    const known = await readlink(link).catch(() => '');
    // In a copy of a home the link leads to what the other one has.
    if (basename(known) === name && (await isOurs(known))) return new SocketPlace(known, link);
    for (const memory of [env.XDG_RUNTIME_DIR, SHARED_MEMORY]) {
      if (!memory) continue;
      const place = join(memory, name);
      await mkdir(place, { mode: 0o700 }).catch(() => undefined);
      if (!(await isOurs(place))) continue;
      await linkTo(place, link);
      return new SocketPlace(place, link);
    }
    await rm(link, { force: true });
    await mkdir(link, { recursive: true, mode: 0o700 });
    await chmod(link, 0o700);
    return new SocketPlace(link, link);
  }

  /** Takes away what belongs to no attempt that may go on. */
  sweep(kept: ReadonlySet<ClaimId>): void {
    const names: ReadonlySet<string> = kept;
    for (const name of readdirSync(this.#path)) {
      if (!names.has(name)) rmSync(join(this.#path, name), { recursive: true, force: true });
    }
  }

  directory(name: string): string {
    return join(this.#path, name);
  }

  has(name: string): boolean {
    return existsSync(this.directory(name));
  }

  /** Throws where it cannot be; nothing that is mounted of it changes. */
  rename(from: string, to: string): void {
    renameSync(this.directory(from), this.directory(to));
  }

  /** Without a socket; harmless when there is none. */
  clear(name: string): void {
    rmSync(join(this.directory(name), SOCKET_NAME), { force: true });
  }

  /** Makes the directory of an attempt, or takes the one that is there: a container may have it mounted. */
  make(claim: ClaimId): { readonly directory: string; readonly listenAt: string } {
    const directory = this.directory(claim);
    mkdirSync(directory, { recursive: true });
    // The mode of a new one is less by the umask.
    chmodSync(directory, 0o755);
    this.clear(claim);
    return {
      directory,
      listenAt: `/proc/self/fd/${this.#descriptor}/${claim}/${SOCKET_NAME}`,
    };
  }

  /** Harmless when it is gone. */
  remove(name: string): void {
    const directory = this.directory(name);
    try {
      rmdirSync(directory);
    } catch {
      // The socket of a daemon that was killed is still in it, or it is gone.
      rmSync(directory, { recursive: true, force: true });
    }
  }

  /** Nothing is left where no container may come back to its directory. */
  close(): void {
    closeSync(this.#descriptor);
    try {
      rmdirSync(this.#path);
      unlinkSync(this.#link);
    } catch {
      // Not empty, or the directory was no link: the next start finds it.
    }
  }
}

/** A name of its own first: a link that is half made must never be seen. */
async function linkTo(place: string, link: string): Promise<void> {
  await rm(`${link}.new`, { force: true });
  await symlink(place, `${link}.new`);
  await rm(link, { recursive: true, force: true });
  await rename(`${link}.new`, link);
}

async function isOurs(directory: string): Promise<boolean> {
  try {
    const found = await lstat(directory);
    const isPrivate = (found.mode & 0o077) === 0;
    return found.isDirectory() && found.uid === process.getuid?.() && isPrivate;
  } catch {
    return false;
  }
}

function hashOf(home: string): string {
  return createHash('sha256').update(resolve(home)).digest('hex').slice(0, 16);
}
