import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { LimitsEnforced, RuntimeDescription } from '@podmesh/core';
import {
  type AttemptCgroups,
  CGROUP_ROOT,
  findCgroupBase,
  OwnCgroups,
} from './container-cgroup.ts';
import type { Env } from './find-socket.ts';
import type { InfoAnswer } from './podman-answers.ts';
import { hasUserSystemd, UserSlices, userCgroup } from './user-slices.ts';

/** What the machine can do for a container, asked once. */
export interface PodmanHost {
  readonly description: RuntimeDescription;
  readonly selinux: boolean;
  /** `NetworkMode` of a container with network. */
  readonly network: string;
  /** Every attempt gets a cgroup of its own from here; absent where nobody could make one that we may read. */
  readonly cgroups?: AttemptCgroups;
}

const NEEDED_CONTROLLERS = ['cpu', 'memory', 'pids'];

/** Reads Podman's own view of the machine. The environment tells where the user's systemd answers. */
export async function readHost(info: InfoAnswer, env: Env): Promise<PodmanHost> {
  const ownCgroups = info.host.cgroupVersion === 'v2' && info.host.cgroupManager === 'cgroupfs';
  const cgroupBase = ownCgroups ? await findCgroupBase() : undefined;
  const ofUser = await userControllers();
  const cgroups =
    cgroupBase === undefined ? slicesOf(info, ofUser, env) : new OwnCgroups(cgroupBase);
  return {
    description: {
      name: 'podman',
      runtimes: ['podman'],
      version: info.version.Version,
      rootless: info.host.security.rootless,
      ociRuntime: info.host.ociRuntime.name,
      storageDriver: info.store.graphDriverName,
      cgroupVersion: info.host.cgroupVersion,
      limits: limitsOf(info, cgroupBase, ofUser),
      arch: info.host.arch,
    },
    selinux: info.host.security.selinuxEnabled ?? false,
    network: networkOf(info),
    ...(cgroups === undefined ? {} : { cgroups }),
  };
}

/** Only of the user's own systemd: a Podman of root's asks the machine's, which we cannot. */
function slicesOf(
  info: InfoAnswer,
  ofUser: readonly string[] | undefined,
  env: Env,
): AttemptCgroups | undefined {
  const { cgroupVersion, cgroupManager, security } = info.host;
  const bySystemd = cgroupVersion === 'v2' && cgroupManager === 'systemd' && security.rootless;
  if (!bySystemd || ofUser === undefined || !hasUserSystemd(env)) return undefined;
  return new UserSlices(userCgroup(process.getuid?.()), env);
}

/**
 * The API's `default` is a bridge, which wants iptables and a namespace shared by all containers; what the
 * command line takes for a rootless container needs neither, and keeps containers apart.
 */
export function networkOf(info: InfoAnswer): string {
  if (!info.host.security.rootless) return 'default';
  const isOld = Number.parseInt(info.version.Version, 10) < 5;
  return info.host.rootlessNetworkCmd || (isOld ? 'slirp4netns' : 'pasta');
}

/**
 * Rootless limits need all three controllers delegated, and somebody who makes the cgroup: systemd, or us.
 * Podman drops the limits of a container without one, silently. The daemon watches what the kernel does not.
 */
export function limitsOf(
  info: InfoAnswer,
  cgroupBase: string | undefined,
  ofUser: readonly string[] | undefined,
): LimitsEnforced {
  const { cgroupVersion, cgroupManager, cgroupControllers, security } = info.host;
  const there = (cgroupManager === 'systemd' ? ofUser : undefined) ?? cgroupControllers;
  const delegated = NEEDED_CONTROLLERS.every((name) => there?.includes(name));
  const somebody =
    cgroupManager === 'systemd' || cgroupBase !== undefined || security.rootless === false;
  return cgroupVersion === 'v2' && delegated && somebody ? KERNEL_LIMITS : WATCHED_LIMITS;
}

/**
 * What systemd delegates to this user, and so to the scope that it makes for a container, beside the cgroup we
 * are in. Podman names the controllers of its own cgroup, and a service of the user need not have them all.
 */
export async function userControllers(): Promise<readonly string[] | undefined> {
  const path = join(CGROUP_ROOT, userCgroup(process.getuid?.()), 'cgroup.controllers');
  const text = await readFile(path, 'utf8').catch(() => undefined);
  return text?.trim().split(/\s+/);
}

/** Nobody but the daemon looks at what a task writes. */
export const KERNEL_LIMITS: LimitsEnforced = {
  memory: 'kernel',
  cpus: 'kernel',
  pids: 'kernel',
  disk: 'watched',
};
export const WATCHED_LIMITS: LimitsEnforced = {
  memory: 'watched',
  cpus: 'none',
  pids: 'watched',
  disk: 'watched',
};
