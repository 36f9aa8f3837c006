import { ordersAmong } from '../image-annotations.ts';
import { CrunUnavailableError } from './crun-errors.ts';
import type { OciConfig } from './recipe.ts';

/** Without a path: one with a path is somebody else's. */
const OWN_NAMESPACES = ['pid', 'ipc', 'uts', 'mount', 'network'];
/**
 * Podman writes them for every container, the latter two where systemd manages cgroups. crun reads neither of the
 * former, and the latter only where it asks systemd for a cgroup, which it does not do in this lane.
 */
const PODMANS_OWN = [
  'io.kubernetes.cri-o.Created',
  'io.kubernetes.cri-o.TTY',
  'org.systemd.property.KillSignal',
  'org.systemd.property.TimeoutStopUSec',
];

/**
 * Throws `CrunUnavailableError`, which names all that is missing, unless a configuration that Podman
 * wrote has what makes its containers safe. A recipe is used for thousands of tasks, so what a setting
 * in containers.conf, an image or a new version of Podman takes away must show once, here, and not never.
 */
export function requireSafeguards(config: OciConfig): void {
  const missing = [
    ...missingNamespaces(config),
    ...missingOfProcess(config),
    ...missingOfKernelView(config),
    ...foreignOrders(config),
  ];
  if (missing.length === 0) return;
  throw new CrunUnavailableError(
    `the container that Podman makes of the image lacks ${missing.join(', ')}. Look for what takes it away in containers.conf (under [containers]) and in the image's annotations`,
  );
}

function missingNamespaces({ linux }: OciConfig): string[] {
  const all = linux?.namespaces ?? [];
  const isOwn = (wanted: string) => {
    const some = all.filter(({ type }) => type === wanted);
    return some.length > 0 && some.every(({ path }) => !path);
  };
  // With cgroup v1 Podman makes none for cgroups; where it writes one, it must be the container's.
  const wanted = [
    ...OWN_NAMESPACES,
    ...(all.some(({ type }) => type === 'cgroup') ? ['cgroup'] : []),
  ];
  return wanted.filter((type) => !isOwn(type)).map((type) => `its own ${type} namespace`);
}

function missingOfProcess({ process }: OciConfig): string[] {
  const capabilities = process?.capabilities;
  // Of no sets at all the specification does not say that they are empty.
  const isBare =
    typeof capabilities === 'object' &&
    capabilities !== null &&
    Object.values(capabilities).every((names) => (names ?? []).length === 0);
  return [
    ...(process?.noNewPrivileges === true ? [] : ['noNewPrivileges']),
    ...(isBare ? [] : ['empty sets of capabilities']),
  ];
}

function missingOfKernelView({ linux }: OciConfig): string[] {
  const { seccomp, maskedPaths, readonlyPaths } = linux ?? {};
  const isFilter =
    Boolean(seccomp?.defaultAction) &&
    (seccomp?.defaultAction !== 'SCMP_ACT_ALLOW' || (seccomp.syscalls ?? []).length > 0);
  return [
    ...(isFilter ? [] : ['a seccomp filter']),
    ...(maskedPaths?.length ? [] : ['masked paths']),
    ...(readonlyPaths?.length ? [] : ['read-only paths']),
  ];
}

/** Among them a seccomp filter in the place of Podman's, compiled by whoever made the image. */
function foreignOrders({ annotations }: OciConfig): string[] {
  const foreign = ordersAmong(annotations).filter((name) => !PODMANS_OWN.includes(name));
  return foreign.map((name) => `protection from the image's annotation ${name}`);
}
