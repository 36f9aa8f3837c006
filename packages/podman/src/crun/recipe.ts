import { posix } from 'node:path';
import { type ContainerSpec, type Requirements, TASK_PIDS_MAX } from '@podmesh/core';
import { writeLabels } from '../container-labels.ts';
import { SOCKET_DIRECTORY } from '../task-socket.ts';

/** One mount of an OCI configuration. */
export interface OciMount {
  readonly destination: string;
  readonly type?: string;
  readonly source?: string;
  readonly options?: readonly string[];
}

/** One resource limit of an OCI configuration. */
export interface OciLimit {
  readonly type: string;
  readonly hard: number;
  readonly soft: number;
}

/** One namespace of an OCI configuration: its own, or, with a path, one that is there already. */
export interface OciNamespace {
  readonly type: string;
  readonly path?: string;
}

/** A filter of system calls: what to do with those that are not listed, and the lists. */
export interface OciSeccomp {
  readonly defaultAction?: string;
  readonly syscalls?: readonly object[];
}

/** The parts of an OCI configuration that are read or replaced here; all others are passed on as Podman wrote them. */
export interface OciConfig {
  readonly root?: { readonly path: string; readonly readonly?: boolean };
  readonly process: {
    readonly args: readonly string[];
    readonly env: readonly string[];
    readonly rlimits?: readonly OciLimit[];
    readonly noNewPrivileges?: boolean;
    /** Sets of names; a set that is not there is empty. */
    readonly capabilities?: Readonly<Record<string, readonly string[]>>;
  };
  readonly mounts: readonly OciMount[];
  readonly annotations?: Readonly<Record<string, string>>;
  readonly linux: {
    readonly namespaces?: readonly OciNamespace[];
    readonly seccomp?: OciSeccomp;
    readonly maskedPaths?: readonly string[];
    readonly readonlyPaths?: readonly string[];
    readonly resources?: Readonly<Record<string, unknown>>;
    readonly cgroupsPath?: string;
  };
}

/** A small file that Podman makes for each container and mounts into it, such as /etc/hosts. */
export interface RecipeFile {
  readonly name: string;
  readonly content: Uint8Array;
}

/** How to cook containers of one image: Podman's configuration of one, without what is a task's own. */
export interface Recipe {
  readonly image: string;
  readonly config: OciConfig;
  /** What Podman writes for a read-only input. */
  readonly inputMount: OciMount;
  /** Mounts of {@link files}: the source is a name among them. */
  readonly fileMounts: readonly OciMount[];
  readonly files: readonly RecipeFile[];
  /** Entry point and command of the image. */
  readonly command: readonly string[];
  readonly layers: Layers;
  /** Of the root directory inside. */
  readonly rootMode: number;
}

/** The layers of an image, as overlayfs wants them. */
export interface Layers {
  /** The directory that the relative ones among them start from. */
  readonly home: string;
  /** Of the option `lowerdir`. */
  readonly lower: string;
}

/** Where one container lives. */
export interface Place {
  /** The directory of its own copies of the recipe's files. */
  readonly files: string;
  /** Where its chain mounts its root directory. */
  readonly root: string;
  readonly cgroup?: string;
  /** Whether the kernel holds that cgroup to limits. */
  readonly limits: boolean;
}

const PERIOD_USEC = 100_000;
const LAYERS_ANNOTATION = 'podmesh.layers';
const HOME_ANNOTATION = 'podmesh.layers-home';
const IMAGE_ANNOTATION = 'podmesh.image';

/** The configuration of one container. Pure, so that what a task may change of the recipe can be read and tested. */
export function fillRecipe(recipe: Recipe, spec: ContainerSpec, place: Place): object {
  const { config } = recipe;
  const inputs = [...inputMounts(recipe, spec), ...socketMount(recipe, spec)];
  const taken = new Set(inputs.map(({ destination }) => destination));
  const files = recipe.fileMounts.map((mount) => {
    return { ...mount, source: posix.join(place.files, mount.source ?? '') };
  });
  return {
    ...config,
    root: { ...config.root, path: place.root },
    process: {
      ...config.process,
      args: commandOf(recipe, spec),
      env: environment(config.process.env, spec.env),
    },
    // An input in the place of one of Podman's own files replaces it, as it does there.
    mounts: [
      ...[...config.mounts, ...files].filter(({ destination }) => !taken.has(destination)),
      ...inputs,
    ],
    annotations: {
      ...config.annotations,
      ...writeLabels(spec.labels),
      [IMAGE_ANNOTATION]: recipe.image,
      [LAYERS_ANNOTATION]: recipe.layers.lower,
      [HOME_ANNOTATION]: recipe.layers.home,
    },
    linux: {
      ...config.linux,
      resources: resourcesOf(config, spec.requirements, place.limits),
      ...(place.cgroup === undefined ? {} : { cgroupsPath: posix.join('/', place.cgroup, 'c') }),
    },
  };
}

/** The command of a task, or of the image. */
export function commandOf(recipe: Recipe, spec: ContainerSpec): readonly string[] {
  return spec.command?.length ? spec.command : recipe.command;
}

/** What a container's configuration tells of it when a daemon comes back. */
export function layersIn(annotations: Readonly<Record<string, string>>): Layers | undefined {
  const lower = annotations[LAYERS_ANNOTATION];
  const home = annotations[HOME_ANNOTATION];
  return lower === undefined || home === undefined ? undefined : { lower, home };
}

/** The image of a container, from its annotations. */
export function imageIn(annotations: Readonly<Record<string, string>>): string | undefined {
  return annotations[IMAGE_ANNOTATION];
}

/**
 * The same limits as in Podman's lane, and at the same place, where programs look for them. No swap: a
 * task that thrashes harms its neighbours more than one that is killed. When one of its processes
 * is killed for memory all are, because the others are of no use then.
 */
function resourcesOf(
  { linux }: OciConfig,
  { memoryBytes, cpus }: Requirements,
  limits: boolean,
): object {
  const { memory, cpu, pids, ...others } = linux.resources ?? {};
  if (!limits) return others;
  const quota = Math.round(cpus * PERIOD_USEC);
  return {
    ...others,
    pids: { limit: TASK_PIDS_MAX },
    ...(cpus > 0 ? { cpu: { quota, period: PERIOD_USEC } } : {}),
    ...(memoryBytes > 0 ? { memory: { limit: memoryBytes, swap: memoryBytes } } : {}),
    ...(memoryBytes > 0 ? { unified: { 'memory.oom.group': '1' } } : {}),
  };
}

/** Parents before children, whatever the order of the names. */
function inputMounts(recipe: Recipe, spec: ContainerSpec): OciMount[] {
  return Object.entries(spec.inputs)
    .map(([name, source]) => {
      const { mountAt = {} } = spec;
      // Any object has a `constructor`, and an input may be called that.
      const chosen = Object.hasOwn(mountAt, name) ? mountAt[name] : undefined;
      const destination = posix.resolve('/', chosen ?? `/in/${name}`);
      return { ...recipe.inputMount, destination, source };
    })
    .sort((a, b) => depth(a) - depth(b));
}

/** As an input is mounted: the place for it is a part of the layer that Podman adds to the image. */
function socketMount({ inputMount }: Recipe, { socketDir }: ContainerSpec): OciMount[] {
  if (socketDir === undefined) return [];
  return [{ ...inputMount, destination: SOCKET_DIRECTORY, source: socketDir }];
}

function depth({ destination }: OciMount): number {
  return destination.split('/').length;
}

function environment(
  fromRecipe: readonly string[],
  own: Readonly<Record<string, string>>,
): readonly string[] {
  const isReplaced = (entry: string) => Object.hasOwn(own, entry.slice(0, entry.indexOf('=')));
  const added = Object.entries(own).map(([name, value]) => `${name}=${value}`);
  return [...fromRecipe.filter((entry) => !isReplaced(entry)), ...added];
}
