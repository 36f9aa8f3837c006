import type { RuntimeDescription } from '@podmesh/core';
import { findCgroupBase } from './container-cgroup.ts';
import type { InfoAnswer } from './podman-answers.ts';

/** What the machine can do for a container, asked once. */
export interface PodmanHost {
  readonly description: RuntimeDescription;
  readonly selinux: boolean;
  /** Below it every attempt gets a cgroup of its own; absent where Podman or systemd makes them. */
  readonly cgroupBase?: string;
}

const NEEDED_CONTROLLERS = ['cpu', 'memory', 'pids'];

/** Reads Podman's own view of the machine. */
export async function readHost(info: InfoAnswer): Promise<PodmanHost> {
  const ownCgroups = info.host.cgroupVersion === 'v2' && info.host.cgroupManager === 'cgroupfs';
  const cgroupBase = ownCgroups ? await findCgroupBase() : undefined;
  return {
    description: {
      name: 'podman',
      version: info.version.Version,
      rootless: info.host.security.rootless,
      ociRuntime: info.host.ociRuntime.name,
      storageDriver: info.store.graphDriverName,
      cgroupVersion: info.host.cgroupVersion,
      limits: limitsOf(info, cgroupBase),
      arch: info.host.arch,
    },
    selinux: info.host.security.selinuxEnabled ?? false,
    ...(cgroupBase === undefined ? {} : { cgroupBase }),
  };
}

/**
 * Rootless limits need all three controllers delegated, and somebody who makes the cgroup: systemd, or us.
 * Podman drops the limits of a container without one, silently.
 */
export function limitsOf(
  info: InfoAnswer,
  cgroupBase: string | undefined,
): RuntimeDescription['limits'] {
  const { cgroupVersion, cgroupManager, cgroupControllers, security } = info.host;
  const delegated = NEEDED_CONTROLLERS.every((name) => cgroupControllers?.includes(name));
  const somebody =
    cgroupManager === 'systemd' || cgroupBase !== undefined || security.rootless === false;
  return cgroupVersion === 'v2' && delegated && somebody ? 'enforced' : 'unenforced';
}
