import { constants } from 'node:fs';
import { access, copyFile, mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { PeerId } from '@podmesh/core';
import type { Env } from '../find-socket.ts';
import type { InfoAnswer } from '../podman-answers.ts';
import type { PodmanApi } from '../podman-api.ts';
import { findStaticBusybox } from '../static-busybox.ts';
import { AttemptFiles } from './attempt-files.ts';
import { type CgroupHome, findCgroupHome } from './cgroup-home.ts';
import type { Kitchen } from './chain.ts';
import { ChainSpawner } from './chain-spawner.ts';
import { CrunUnavailableError } from './crun-errors.ts';
import { FifoPool } from './fifo-pool.ts';
import { TOOLS } from './read-layer.ts';
import { RecipeBook } from './recipe-book.ts';
import { Sweeper } from './sweeper.ts';
import { isPlainPath, UserNamespace } from './user-namespace.ts';

export interface CrunLaneOptions {
  readonly env: Env;
  /** Private to one daemon; containers, and nothing else, are found there by a later one. */
  readonly directory: string;
  readonly busyboxPath?: string;
  /** Take crun's own compiled seccomp filters; unless false. */
  readonly precompiled?: boolean;
}

/** Everything that the containers of one daemon share. */
export interface CrunLane {
  readonly kitchen: Kitchen;
  readonly spawner: ChainSpawner;
  readonly fifos: FifoPool;
  readonly sweeper: Sweeper;
  readonly book: RecipeBook;
  readonly cgroups: CgroupHome | undefined;
  readonly directory: string;
  /** The directories of a peer's containers are in it. */
  attemptsOf(peer: PeerId): string;
}

/** Throws `CrunUnavailableError` where the lane cannot work, with what to do. */
export async function openCrunLane(api: PodmanApi, options: CrunLaneOptions): Promise<CrunLane> {
  const info = await api.info();
  const { directory, env, precompiled = true } = options;
  const problem = laneProblem(info) ?? pathProblem(directory);
  if (problem !== undefined) throw new CrunUnavailableError(problem);
  const busybox = await findStaticBusybox(options.busyboxPath ? [options.busyboxPath] : undefined);
  if (busybox === undefined) throw new CrunUnavailableError(NO_BUSYBOX);
  const tar = await findProgram('tar', env);
  for (const program of ['nsenter', 'unshare']) await findProgram(program, env);
  const namespace = await UserNamespace.open(env);
  const place = (name: string) => join(directory, name);
  const sweeper = new Sweeper(namespace, place('trash'));
  await sweeper.start();
  const hasContainers = await hasAttempts(place('attempts'));
  // Of the last boot, or of images long gone.
  if (!hasContainers) for (const name of ['state', 'bases']) await sweeper.discard(place(name));
  for (const name of ['attempts', 'state', 'bases', 'merged', `tools/${TOOLS}`]) {
    await mkdir(place(name), { recursive: true, mode: 0o700 });
  }
  await rm(place(`tools/${TOOLS}/busybox`), { force: true });
  await copyFile(busybox, place(`tools/${TOOLS}/busybox`));
  const crun = info.host.ociRuntime.path ?? 'crun';
  const kitchen: Kitchen = {
    ...{ namespace, busybox, crun, tar },
    state: place('state'),
    tools: place('tools'),
    merged: place('merged'),
  };
  const spawner = new ChainSpawner(kitchen, env);
  const delegated = await spawner.cgroup();
  const lane = {
    kitchen,
    spawner,
    fifos: new FifoPool(place('fifos'), busybox),
    sweeper,
    book: new RecipeBook({
      api,
      info,
      owner: directory,
      namespace,
      bases: place('bases'),
      precompiled,
    }),
    cgroups: delegated === undefined ? await findCgroupHome() : { base: delegated, limits: true },
    directory,
    attemptsOf: (peer: PeerId) => join(directory, 'attempts', peer),
  };
  await lane.fifos.start();
  await lane.book.tidy(hasContainers);
  return lane;
}

/** Containers go on; a lane at the same place finds them. Without any, nothing stays that only a namespace could delete. */
export async function closeCrunLane(lane: CrunLane): Promise<void> {
  const { kitchen, spawner, sweeper, book, directory } = lane;
  await spawner.stop();
  await book.stop();
  if (!(await hasAttempts(join(directory, 'attempts')))) {
    await sweeper.discard(join(directory, 'bases'));
    // Podman may be gone by now; then the next start does it.
    await book.tidy(false).catch(() => undefined);
  }
  await sweeper.stop();
  await kitchen.namespace.close();
}

/** Why this Podman's images and containers cannot be cooked here. */
export function laneProblem(info: InfoAnswer): string | undefined {
  const { host, store } = info;
  if (host.security.rootless === false)
    return 'Podman runs as root here, and the lane is for rootless Podman';
  if (host.ociRuntime.name !== 'crun') {
    return `Podman uses ${host.ociRuntime.name} here. Install crun, and put runtime="crun" under [engine] into ~/.config/containers/containers.conf`;
  }
  if (store.graphDriverName !== 'overlay') {
    return `images are stored by the driver ${store.graphDriverName}. Put driver="overlay" under [storage] into ~/.config/containers/storage.conf; an existing store must be emptied first: podman system reset`;
  }
  if (Object.keys(store.graphOptions ?? {}).some((name) => name.endsWith('mount_program'))) {
    return 'images are mounted by FUSE. Where the kernel mounts overlays in user namespaces (5.13 and later), take mount_program out of storage.conf and run: podman system reset';
  }
  if (host.security.selinuxEnabled) {
    return 'SELinux is on, and the lane does not label its mounts';
  }
  return undefined;
}

const NO_BUSYBOX =
  'it needs a statically linked busybox. Install it (Debian: apt-get install busybox-static)';

function pathProblem(directory: string): string | undefined {
  if (isPlainPath(directory)) return undefined;
  return `the path ${directory} has letters that mount options cannot hold. Choose another home for podmesh`;
}

async function findProgram(name: string, env: Env): Promise<string> {
  for (const directory of (env.PATH ?? '').split(':')) {
    const path = join(directory, name);
    if (
      await access(path, constants.X_OK).then(
        () => true,
        () => false,
      )
    )
      return path;
  }
  throw new CrunUnavailableError(`${name} is not in the PATH. Install util-linux and tar`);
}

async function hasAttempts(attempts: string): Promise<boolean> {
  for (const peer of await readdir(attempts).catch(() => [])) {
    for (const name of await readdir(join(attempts, peer)).catch(() => [])) {
      if (new AttemptFiles(join(attempts, peer, name)).isWhole()) return true;
    }
  }
  return false;
}
