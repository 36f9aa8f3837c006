import { existsSync, statSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import {
  type ContainerSpec,
  claimId,
  ok,
  peerId,
  type Result,
  refused,
  runId,
  type StartProblem,
  taskId,
} from '@podmesh/core';
import { containerBody } from '../container-body.ts';
import type { ImageAnswer, InfoAnswer, RecipeAnswer } from '../podman-answers.ts';
import type { PodmanApi } from '../podman-api.ts';
import { SOCKET_DIRECTORY, SOCKET_LINK, SOCKET_LINK_TARGET } from '../task-socket.ts';
import { CrunUnavailableError } from './crun-errors.ts';
import {
  MOUNT_OPTIONS_BYTES_MAX,
  RECIPE_FILE_BYTES_MAX,
  SECCOMP_BYTES_MAX,
} from './crun-limits.ts';
import type { Layers, OciConfig, OciMount, Recipe, RecipeFile } from './recipe.ts';
import { requireSafeguards } from './require-safeguards.ts';
import { withLimits } from './resource-limits.ts';
import { isPlainPath, type UserNamespace } from './user-namespace.ts';

/** The label of containers that keep an image, or are there to be read. Its value: their lane's directory. */
export const RECIPE_LABEL = 'podmesh.recipe';

/** Where the one input of a recipe's container is; also its program, though it never runs. */
const PROBE = '/.podmesh-recipe';
const SECCOMP_ANNOTATION = 'run.oci.seccomp_bpf_data';

/** What taking a recipe needs to know of the machine. */
export interface RecipeMachine {
  readonly api: PodmanApi;
  readonly info: InfoAnswer;
  /** Of {@link RECIPE_LABEL}. */
  readonly owner: string;
  readonly namespace: UserNamespace;
  /** Where what Podman adds to an image is copied to. */
  readonly bases: string;
  /** Use the filter that crun compiled, instead of compiling it for each container. */
  readonly precompiled: boolean;
}

/**
 * Lets Podman create and initialise one container of the image, with the same request as any other,
 * and reads the configuration that it wrote for crun. Whatever security there is in it is Podman's;
 * where there is less than always, `CrunUnavailableError` says what is missing.
 */
export async function takeRecipe(
  machine: RecipeMachine,
  id: string,
  signal: AbortSignal,
): Promise<Result<Recipe, StartProblem>> {
  const { api } = machine;
  const image = await api.images.find(id);
  if (image === undefined) {
    return refused({ kind: 'runtime', message: `image ${id} is not in Podman's store any more` });
  }
  const own = await readLayers(image);
  const container = await api.create(recipeBody(machine, image, id), signal);
  try {
    await api.init(container, signal);
    const answer = await api.inspectRecipe(container);
    const written = JSON.parse(await readFile(answer.OCIConfigPath ?? '', 'utf8')) as OciConfig;
    requireSafeguards(written);
    const filter = machine.precompiled ? await compiledFilter(machine.info, container) : undefined;
    const base = await copyBase(machine, id, answer);
    const layers = { home: own.home, lower: `${base}:${own.lower}` };
    return ok(await split({ written, container, answer, filter, image, id, layers }));
  } finally {
    await api.remove(container);
  }
}

/** A container that is never started keeps its image from being removed. */
export async function pinImage(
  machine: RecipeMachine,
  id: string,
  signal: AbortSignal,
): Promise<string> {
  return await machine.api.create(
    { Image: id, Entrypoint: ['-'], Cmd: [], Labels: { [RECIPE_LABEL]: machine.owner } },
    signal,
  );
}

/** The same request as for a task, with one input: it shows how Podman mounts them, and is the program. */
function recipeBody({ info, owner }: RecipeMachine, image: ImageAnswer, id: string): object {
  const spec: ContainerSpec = {
    labels: {
      run: runId('recipe000000'),
      task: taskId('recipe'),
      attempt: 1,
      peer: peerId('recipe'),
      claim: claimId('recipe'),
    },
    image: id,
    command: [PROBE],
    env: {},
    inputs: { probe: process.execPath },
    mountAt: { probe: PROBE },
    outputs: {},
    net: false,
    requirements: { cpus: 0, memoryBytes: 0, diskBytes: 0, gpus: 0, labels: [] },
    scratchDir: '/',
  };
  const body = containerBody(spec, {
    hasHealthcheck: Boolean(image.Config?.Healthcheck),
    limitsEnforced: false,
    selinux: info.host.security.selinuxEnabled ?? false,
    network: 'none',
  });
  return { ...body, Labels: { [RECIPE_LABEL]: owner } };
}

/**
 * What Podman itself puts into a container's root directory (/etc/mtab, mount points, the working
 * directory), as one more layer, so that a task finds the same in both lanes. Once for each image.
 */
async function copyBase(
  { namespace, bases }: RecipeMachine,
  image: string,
  { GraphDriver }: RecipeAnswer,
): Promise<string> {
  const upper = GraphDriver?.Data?.UpperDir;
  if (upper === undefined) throw new CrunUnavailableError('Podman told no scratch layer');
  const base = join(bases, image.replace(/^sha256:/, ''));
  // Its own mode is not seen in a container, and without the right to write nobody could remove it.
  const words = ['sh', '-c', BASE_SCRIPT, 'podmesh-base', upper, base, basename(PROBE)];
  if (!existsSync(base)) await namespace.run(words);
  return base;
}

/** With the place for a task's socket, so that no container changes its layer by being given one. */
const BASE_SCRIPT = [
  'rm -rf "$2.new" && cp -a "$1" "$2.new" && chmod u+w "$2.new" && rm -f "$2.new/$3" || exit',
  'run=$2.new/run',
  'if [ -d "$run" ] && [ ! -L "$run" ]; then',
  `mkdir -p "$2.new${SOCKET_DIRECTORY}" && ln -sfn ${SOCKET_LINK_TARGET} "$run/${SOCKET_LINK}" || exit`,
  'fi',
  'mv -T "$2.new" "$2"',
].join('\n');

/** Short links instead of paths: all mount options together must fit a page. */
async function readLayers(image: ImageAnswer): Promise<Layers> {
  const driver = image.GraphDriver;
  const upper = driver?.Data?.UpperDir;
  if (driver?.Name !== 'overlay' || upper === undefined) {
    throw new CrunUnavailableError(`images are stored by ${driver?.Name ?? 'nobody'}, not overlay`);
  }
  const directories = [upper, ...(driver.Data?.LowerDir?.split(':') ?? [])];
  const home = dirname(dirname(upper));
  const links = directories.map(async (directory) => {
    const layer = dirname(directory);
    if (dirname(layer) !== home) return directory;
    const link = await readFile(join(layer, 'link'), 'utf8').catch(() => undefined);
    return link === undefined ? directory : `l/${link.trim()}`;
  });
  const names = await Promise.all(links);
  const odd = names.find((name) => !isPlainPath(name));
  if (odd !== undefined) {
    throw new CrunUnavailableError(`a layer is at ${odd}, which mount options cannot hold`);
  }
  const lower = names.join(':');
  if (lower.length > MOUNT_OPTIONS_BYTES_MAX) {
    throw new CrunUnavailableError(`the image has too many layers (${directories.length})`);
  }
  return { home, lower };
}

interface Written {
  readonly written: OciConfig;
  readonly container: string;
  readonly answer: RecipeAnswer;
  readonly filter: string | undefined;
  readonly image: ImageAnswer;
  readonly id: string;
  readonly layers: Layers;
}

async function split(from: Written): Promise<Recipe> {
  const { written, container, image, answer } = from;
  const inputMount = written.mounts.find(({ destination }) => destination === PROBE);
  if (inputMount === undefined)
    throw new CrunUnavailableError('Podman wrote no mount for an input');
  // An image's volumes are part of the scratch layer here, with the content that the image has there.
  const volumes = new Set(
    answer.Mounts?.filter(({ Type }) => Type === 'volume').map(({ Destination }) => Destination),
  );
  const mounts: OciMount[] = [];
  const fileMounts: OciMount[] = [];
  const files: RecipeFile[] = [];
  for (const mount of written.mounts) {
    if (mount === inputMount || volumes.has(mount.destination)) continue;
    const isOwn = mount.source?.includes(`/${container}/userdata/`) ?? false;
    if (isOwn && basename(mount.source ?? '') === 'shm') mounts.push(sharedMemory(mount));
    else if (isOwn) {
      const name = `file-${files.length}`;
      files.push({ name, content: await readSmall(mount.source ?? '') });
      fileMounts.push({ ...mount, source: name });
    } else mounts.push(mount);
  }
  const { Entrypoint, Cmd } = image.Config ?? {};
  return {
    image: from.id,
    config: withFilter({ ...withLimits(written, answer.State?.Pid ?? 0), mounts }, from.filter),
    rootMode: statSync(answer.GraphDriver?.Data?.UpperDir ?? '/').mode & 0o7777,
    inputMount,
    fileMounts,
    files,
    command: [...(Entrypoint ?? []), ...(Cmd ?? [])],
    layers: from.layers,
  };
}

/** Podman mounts a file system of its own for each container and binds it; here the container mounts it itself. */
function sharedMemory({ destination, options }: OciMount): OciMount {
  const kept = (options ?? []).filter((option) => !/^r?(bind|private)$/.test(option));
  return {
    destination,
    type: 'tmpfs',
    source: 'shm',
    options: [...kept, 'mode=1777', 'size=65536000'],
  };
}

async function readSmall(path: string): Promise<Uint8Array> {
  const content = await readFile(path);
  if (content.length <= RECIPE_FILE_BYTES_MAX) return content;
  throw new CrunUnavailableError(
    `${basename(path)} of Podman's containers has ${content.length} bytes`,
  );
}

/**
 * crun compiles the profile to the same filter for each container, which takes more time than all the
 * rest. It left the one of this container beside its state, and takes it as it is the next time. Were
 * the annotation ignored, the profile that is left would refuse every system call.
 */
function withFilter(config: OciConfig, filter: string | undefined): OciConfig {
  const { seccomp } = config.linux;
  if (filter === undefined || seccomp === undefined) return config;
  const rest = Object.entries(seccomp).filter(([name]) => name !== 'syscalls');
  return {
    ...config,
    annotations: { ...config.annotations, [SECCOMP_ANNOTATION]: filter },
    linux: { ...config.linux, seccomp: Object.fromEntries(rest) },
  };
}

/** In base64; undefined where this version of crun leaves none, which only costs time. */
async function compiledFilter(info: InfoAnswer, container: string): Promise<string | undefined> {
  const { name, version = '' } = info.host.ociRuntime;
  const state = /^rundir: (.+)$/m.exec(version)?.[1];
  if (name !== 'crun' || state === undefined) return undefined;
  const filter = await readFile(join(state, container, 'seccomp.bpf')).catch(() => undefined);
  const isFilter =
    filter !== undefined &&
    filter.length > 0 &&
    filter.length % 8 === 0 &&
    filter.length <= SECCOMP_BYTES_MAX;
  return isFilter ? filter.toString('base64') : undefined;
}
