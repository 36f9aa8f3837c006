import { type ContainerSpec, TASK_PIDS_MAX } from '@podmesh/core';
import { writeLabels } from './container-labels.ts';
import { ENV_DIRECTORY, FD_DIRECTORY, type FdLaunch, LAUNCHER_PATH } from './fd-launcher.ts';
import { LOG_COPY_BYTES_MAX, TASK_OOM_SCORE } from './podman-limits.ts';
import { SOCKET_DIRECTORY } from './task-socket.ts';

/** What the specification itself does not say. */
export interface BodyContext {
  /** For a task with `fd` outputs, with the busybox that is its launcher. */
  readonly launch?: FdLaunch & { readonly busybox: string };
  readonly hasHealthcheck: boolean;
  readonly limitsEnforced: boolean;
  readonly selinux: boolean;
  readonly network: string;
  readonly cgroupParent?: string;
}

/** The request that creates the container. Pure, so that the security of it can be read and tested. */
export function containerBody(spec: ContainerSpec, context: BodyContext): object {
  const argv = context.launch?.argv ?? spec.command;
  return {
    Image: spec.image,
    // Both, so that nothing of the image's own command is left.
    ...(argv && argv.length > 0 ? { Entrypoint: argv, Cmd: [] } : {}),
    Env: Object.entries(spec.env).map(([name, value]) => `${name}=${value}`),
    Labels: writeLabels(spec.labels),
    // Not the random id: a task should see the same wherever and whenever it runs.
    Hostname: 'podmesh',
    OpenStdin: false,
    Tty: false,
    // Only where the image has one: Podman looks for its timer at every removal, and complains.
    ...(context.hasHealthcheck ? { Healthcheck: { Test: ['NONE'] } } : {}),
    HostConfig: {
      NetworkMode: spec.net ? context.network : 'none',
      CapDrop: ['ALL'],
      SecurityOpt: securityOptions(context),
      // The task is to die before the daemon that watches it, when the machine runs out of memory.
      OomScoreAdj: TASK_OOM_SCORE,
      ...mounts(spec, context),
      LogConfig: { Type: 'k8s-file', Config: { 'max-size': String(LOG_COPY_BYTES_MAX) } },
      ...(context.limitsEnforced ? limits(spec) : {}),
      ...(context.cgroupParent === undefined ? {} : { CgroupParent: context.cgroupParent }),
    },
  };
}

function securityOptions(context: BodyContext): string[] {
  // Inputs are shared by many containers; relabelling them for each would write to the store.
  return context.selinux ? ['no-new-privileges', 'label=disable'] : ['no-new-privileges'];
}

interface Bind {
  readonly source: string;
  readonly target: string;
  readonly readOnly: boolean;
}

/**
 * Podman 4.3 turns `Mounts` into a comma-separated option and `Binds` are split at colons; a path
 * has both very seldom.
 */
function mounts(spec: ContainerSpec, context: BodyContext): object {
  const all = [
    ...inputBinds(spec),
    ...socketBinds(spec),
    ...launchBinds(context),
    ...secretBinds(spec),
  ];
  const hasComma = ({ source }: Bind) => source.includes(',');
  return {
    Mounts: all
      .filter((bind) => !hasComma(bind))
      .map(({ source, target, readOnly }) => {
        return { Type: 'bind', Source: source, Target: target, ReadOnly: readOnly };
      }),
    Binds: all
      .filter(hasComma)
      .map(({ source, target, readOnly }) => `${source}:${target}:${readOnly ? 'ro' : 'rw'}`),
  };
}

function inputBinds(spec: ContainerSpec): Bind[] {
  const mountAt = spec.mountAt ?? {};
  return Object.entries(spec.inputs).map(([name, source]) => {
    // An input may be called like what every object has, such as `constructor`.
    const chosen = Object.hasOwn(mountAt, name) ? mountAt[name] : undefined;
    return { source, target: chosen ?? `/in/${name}`, readOnly: true };
  });
}

/** Files in memory, which the launcher makes variables of: their values stand in no request. */
function secretBinds({ secretEnv = {} }: ContainerSpec): Bind[] {
  return Object.entries(secretEnv).map(([name, source]) => {
    return { source, target: `${ENV_DIRECTORY}/${name}`, readOnly: true };
  });
}

/** Read-only: that keeps nobody from connecting. */
function socketBinds({ socketDir }: ContainerSpec): Bind[] {
  if (socketDir === undefined) return [];
  return [{ source: socketDir, target: SOCKET_DIRECTORY, readOnly: true }];
}

function launchBinds({ launch }: BodyContext): Bind[] {
  if (launch === undefined) return [];
  return [
    { source: launch.busybox, target: LAUNCHER_PATH, readOnly: true },
    { source: launch.directory, target: FD_DIRECTORY, readOnly: false },
  ];
}

/** No swap: a task that thrashes harms its neighbours more than one that is killed. */
function limits(spec: ContainerSpec): object {
  const { memoryBytes, cpus } = spec.requirements;
  return {
    ...(memoryBytes > 0 ? { Memory: memoryBytes, MemorySwap: memoryBytes } : {}),
    ...(cpus > 0 ? { NanoCpus: Math.round(cpus * 1e9) } : {}),
    PidsLimit: TASK_PIDS_MAX,
  };
}
