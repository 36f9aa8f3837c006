import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ClaimId, PeerId } from '@podmesh/core';
import {
  type AttemptCgroup,
  type AttemptCgroups,
  CGROUP_ROOT,
  type KeptCgroups,
} from './container-cgroup.ts';
import type { Env } from './find-socket.ts';
import {
  SLICE_STOP_MS,
  SLICE_STOP_ROUNDS_MAX,
  SLICE_STOPS_AT_ONCE_MAX,
  SYSTEMCTL_MS_MAX,
} from './podman-limits.ts';

const PARENT = 'podmesh.slice';
const SLICE = /^podmesh-[0-9a-f]+\.slice$/;

/** Where systemd keeps everything of one user, below the root of cgroup v2. */
export function userCgroup(uid: number | undefined): string {
  return `user.slice/user-${uid}.slice/user@${uid}.service`;
}

/** Whether the user's own systemd runs, which makes the cgroups of rootless containers and ends slices. */
export function hasUserSystemd(env: Env): boolean {
  const directory = env.XDG_RUNTIME_DIR ?? '';
  return directory !== '' && existsSync(join(directory, 'systemd/private'));
}

/**
 * The slice of one attempt. Digests, since ids may be too long for the name of a unit, and their dashes
 * would make slices in slices; of a fixed length, so that no peer's names begin like another's.
 */
export function sliceName(peer: PeerId, claim: ClaimId): string {
  return `${slicePrefix(peer)}${digest(claim, 24)}.slice`;
}

/** How the names of all slices of a peer begin. */
export function slicePrefix(peer: PeerId): string {
  return `podmesh-${digest(peer, 16)}`;
}

/** Where systemd puts it: the dash in the name says that `podmesh.slice` is around it. */
export function sliceCgroup(user: string, slice: string): AttemptCgroup {
  return {
    parent: slice,
    path: `${user}/${PARENT}/${slice}`,
    containerIn: (id) => `libpod-${id}.scope`,
    conmonIn: (id) => `libpod-conmon-${id}.scope`,
  };
}

/**
 * Slices of the user's systemd, each around one attempt. Podman's scopes for container and conmon are
 * gone soon after the end; a slice stays, with the sum of what was in it, until it is stopped.
 */
export class UserSlices implements AttemptCgroups {
  readonly #user: string;
  readonly #env: Env;
  /** Those to be stopped, and how often they were found in use. */
  readonly #pending = new Map<string, number>();
  #timer: NodeJS.Timeout | undefined;

  constructor(user: string, env: Env) {
    this.#user = user;
    this.#env = env;
  }

  of(peer: PeerId, claim: ClaimId): AttemptCgroup {
    return sliceCgroup(this.#user, sliceName(peer, claim));
  }

  adopt(parent: string | undefined, peer: PeerId): AttemptCgroup | undefined {
    const isOurs = parent !== undefined && SLICE.test(parent);
    if (!isOurs || !parent.startsWith(slicePrefix(peer))) return undefined;
    return sliceCgroup(this.#user, parent);
  }

  /** Soon, and many with one command: forking it holds this process up, and nobody waits for it. */
  async remove({ parent }: AttemptCgroup): Promise<void> {
    this.#pending.set(parent, 0);
    this.#plan();
  }

  async removeStale(peer: PeerId, kept: KeptCgroups): Promise<void> {
    const names = await readdir(join(CGROUP_ROOT, this.#user, PARENT)).catch(() => []);
    for (const name of names) {
      const cgroup = this.adopt(name, peer);
      if (cgroup !== undefined && !kept.has(cgroup.path)) await this.remove(cgroup);
    }
  }

  /** What cannot be stopped now is stale for the next daemon. */
  close(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    void this.#stopEmpty();
  }

  #plan(): void {
    if (this.#pending.size === 0) return;
    this.#timer ??= setTimeout(() => {
      void this.#stopEmpty().finally(() => {
        this.#timer = undefined;
        this.#plan();
      });
    }, SLICE_STOP_MS).unref();
  }

  /** A stop ends what runs inside, and conmon's clean-up may outlive the container's removal. */
  async #stopEmpty(): Promise<void> {
    const names: string[] = [];
    for (const [name, rounds] of [...this.#pending].slice(0, SLICE_STOPS_AT_ONCE_MAX)) {
      this.#pending.delete(name);
      const isInUse = await isPopulated(sliceCgroup(this.#user, name).path);
      if (isInUse === false) names.push(name);
      if (isInUse && rounds < SLICE_STOP_ROUNDS_MAX) this.#pending.set(name, rounds + 1);
    }
    if (names.length > 0) await this.#stop(names);
  }

  #stop(names: readonly string[]): Promise<void> {
    const { PATH, XDG_RUNTIME_DIR, DBUS_SESSION_BUS_ADDRESS } = this.#env;
    const env = { PATH, XDG_RUNTIME_DIR, DBUS_SESSION_BUS_ADDRESS };
    const words = ['--user', '--no-block', 'stop', '--', ...names];
    return new Promise((resolve) => {
      // A slice that stays costs a directory of the kernel's memory, and the next daemon tries again.
      const child = execFile('systemctl', words, { env, timeout: SYSTEMCTL_MS_MAX }, () =>
        resolve(),
      );
      child.unref();
    });
  }
}

/** Undefined when it is gone. */
async function isPopulated(cgroup: string): Promise<boolean | undefined> {
  const path = join(CGROUP_ROOT, cgroup, 'cgroup.events');
  const text = await readFile(path, 'utf8').catch(() => undefined);
  return text === undefined ? undefined : /^populated 1$/m.test(text);
}

function digest(id: string, digits: number): string {
  return createHash('sha256').update(id).digest('hex').slice(0, digits);
}
