import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { closeSync, openSync } from 'node:fs';
import { mkdir, readFile, realpath, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { homedir, hostname } from 'node:os';
import { join } from 'node:path';
import { replacePrivately } from '@podmesh/authority';
import { type PeerId, peerId } from '@podmesh/core';
import { nanoid } from 'nanoid';
import { enterHome } from './home-version.ts';

/** flock's exit status when somebody else has the lock. */
const FLOCK_BUSY = 1;
const LOCK_MS_MAX = 5_000;

/** Another daemon works in this home. */
export class HomeBusyError extends Error {
  constructor(path: string) {
    super(
      `another podmesh daemon uses ${path}; stop it with "podmesh down", or give this one a home of its own with PODMESH_HOME`,
    );
    this.name = 'HomeBusyError';
  }
}

/** How programs on this machine find the daemon of a home. */
export interface DaemonFile {
  readonly pid: number;
  readonly peer: PeerId;
  /** `mesh:FOLDER` of a member; or an address with its token, therefore mode 600. */
  readonly nats: string;
  readonly version: string;
  readonly temporary: boolean;
  /** Where it answers programs of this user; absent where it cannot, and of versions that did not. */
  readonly socket?: string;
  /** Where programs of this machine push and pull images, `localhost:PORT`; absent where they cannot. */
  readonly registry?: string;
  /** What runs when it is told to stop has so long to end. */
  readonly graceMs?: number;
}

/** `PODMESH_HOME`, and what a user expects without it. */
export function defaultHome(env: NodeJS.ProcessEnv): string {
  if (env.PODMESH_HOME) return env.PODMESH_HOME;
  return join(env.XDG_DATA_HOME || join(homedir(), '.local', 'share'), 'podmesh');
}

/** One folder with all state of one peer. */
export class Home {
  readonly path: string;
  #lock: Server | undefined;
  /** The folder itself, locked: seen by daemons in other network namespaces, too. */
  #folder: number | undefined;

  constructor(path: string) {
    this.path = path;
  }

  /**
   * Makes the folder and takes it for this process of that version; throws `HomeBusyError` or `HomeVersionError`, and then
   * nothing in it was touched. The kernel frees it when we die.
   */
  async take(version?: string): Promise<void> {
    await mkdir(this.path, { recursive: true, mode: 0o700 });
    const name = createHash('sha256')
      .update(await realpath(this.path))
      .digest('hex');
    const lock = createServer();
    await new Promise<void>((resolve, reject) => {
      lock.once('error', (error: NodeJS.ErrnoException) =>
        reject(error.code === 'EADDRINUSE' ? new HomeBusyError(this.path) : error),
      );
      // A socket in Linux's abstract namespace: no file that could be left behind.
      lock.listen({ path: `\0podmesh-home-${name}` }, resolve);
    });
    lock.unref();
    let folder: number | undefined;
    try {
      folder = lockFolder(this.path);
      if (version !== undefined) await enterHome(this.path, version);
    } catch (error) {
      lock.close();
      if (folder !== undefined) closeSync(folder);
      throw error;
    }
    this.#folder = folder;
    this.#lock = lock;
  }

  /** Takes back the announcement and frees the folder; nothing when it was never ours. */
  async release(): Promise<void> {
    if (this.#lock === undefined) return;
    await this.withdraw();
    this.#lock.close();
    this.#lock = undefined;
    if (this.#folder !== undefined) closeSync(this.#folder);
    this.#folder = undefined;
  }

  /** The peer's name: given, or made once and kept. */
  async peer(given: string | undefined): Promise<PeerId> {
    const path = this.at('peer-id');
    const kept = (await readFile(path, 'utf8').catch(() => '')).trim();
    const id = peerId(given || kept || `${hostSlug()}-${nanoid(6)}`);
    if (id !== kept) await replacePrivately(path, `${id}\n`);
    return id;
  }

  async announce(daemon: DaemonFile): Promise<void> {
    const path = this.at('daemon.json');
    await replacePrivately(path, `${JSON.stringify(daemon)}\n`);
  }

  /** From now on no program of this machine finds the daemon. */
  async withdraw(): Promise<void> {
    if (this.#lock !== undefined) await rm(this.at('daemon.json'), { force: true });
  }

  at(...names: readonly string[]): string {
    return join(this.path, ...names);
  }
}

/**
 * Node cannot lock a file, and util-linux can, on a descriptor that it was given: the lock is that of whoever holds
 * it open. Where there is no such program, or the file system knows no locks, the socket has to do.
 */
function lockFolder(path: string): number {
  const folder = openSync(path, 'r');
  const { status } = spawnSync('flock', ['--nonblock', '3'], {
    stdio: ['ignore', 'ignore', 'ignore', folder],
    timeout: LOCK_MS_MAX,
  });
  if (status !== FLOCK_BUSY) return folder;
  closeSync(folder);
  throw new HomeBusyError(path);
}

function hostSlug(): string {
  return (
    hostname()
      .split('.')[0]
      ?.replace(/[^A-Za-z0-9_-]/g, '-')
      .slice(0, 40) || 'peer'
  );
}
