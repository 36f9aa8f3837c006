import { constants } from 'node:fs';
import { access, copyFile, mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Env } from '../find-socket.ts';
import type { InfoAnswer } from '../podman-answers.ts';
import type { PodmanApi } from '../podman-api.ts';
import { findStaticBusybox } from '../static-busybox.ts';
import { AttemptFiles } from './attempt-files.ts';
import { type CgroupHome, findCgroupHome, presentCgroupHome } from './cgroup-home.ts';
import type { Kitchen } from './chain.ts';
import { ChainSpawner } from './chain-spawner.ts';
import { CrunUnavailableError } from './crun-errors.ts';
import { FIFO_LOW } from './crun-limits.ts';
import { hasCrunAttempts, type LanePlaces, leaveMemory, openLanePlaces } from './lane-places.ts';
import { makeFifos } from './make-fifos.ts';
import { TOOLS } from './read-layer.ts';
import { RecipeBook } from './recipe-book.ts';
import { ScratchStock } from './scratch-stock.ts';
import { Stock } from './stock.ts';
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
  readonly places: LanePlaces;
  /** FIFOs: Node cannot make them, and a process for each container would cost more than the container. */
  readonly fifos: Stock<string>;
  readonly scratch: ScratchStock;
  readonly sweeper: Sweeper;
  readonly book: RecipeBook;
  /** Where the next container's cgroup is to be; undefined where there are none. */
  readonly cgroupHome: () => Promise<CgroupHome | undefined>;
}

/** Throws `CrunUnavailableError` where the lane cannot work, with what to do. */
export async function openCrunLane(api: PodmanApi, options: CrunLaneOptions): Promise<CrunLane> {
  const info = await api.info();
  const { directory, env } = options;
  const problem = laneProblem(info) ?? pathProblem(directory);
  if (problem !== undefined) throw new CrunUnavailableError(problem);
  const busybox = await findStaticBusybox(options.busyboxPath ? [options.busyboxPath] : undefined);
  if (busybox === undefined) throw new CrunUnavailableError(NO_BUSYBOX);
  const tar = await findProgram('tar', env);
  for (const program of ['nsenter', 'unshare']) await findProgram(program, env);
  const namespace = await UserNamespace.open(env);
  const opened = new Opened();
  opened.push(() => namespace.close());
  try {
    return await furnish({ api, info, options, namespace, busybox, tar }, opened);
  } catch (error) {
    // What was started for a lane that is not to be must not stay.
    await opened.close();
    throw error;
  }
}

interface Found {
  readonly api: PodmanApi;
  readonly info: InfoAnswer;
  readonly options: CrunLaneOptions;
  readonly namespace: UserNamespace;
  readonly busybox: string;
  readonly tar: string;
}

async function furnish(found: Found, opened: Opened): Promise<CrunLane> {
  const { api, info, options, namespace, busybox, tar } = found;
  const { directory, env, precompiled = true } = options;
  // Before anything is chosen: what is in use stays where it is.
  const hasContainers = await hasCrunAttempts(directory);
  const places = await openLanePlaces(directory, env);
  if (!hasContainers) opened.push(() => leaveMemory(directory));
  const { state, merged, bases } = places;
  const sweeper = new Sweeper(namespace, places.trash);
  await sweeper.start();
  opened.push(() => sweeper.stop());
  const scratch = new ScratchStock(places, busybox, sweeper);
  opened.push(() => scratch.stop());
  if (!hasContainers) await sweeper.discard(bases);
  await mkdir(bases, { recursive: true, mode: 0o700 });
  await scratch.start(await placesInUse(places));
  await installTools(places, busybox);
  const crun = info.host.ociRuntime.path ?? 'crun';
  const kitchen: Kitchen = { namespace, busybox, crun, tar, state, tools: places.tools, merged };
  const spawner = new ChainSpawner(kitchen, env);
  opened.push(() => spawner.stop());
  await spawner.cgroup();
  const own = await findCgroupHome();
  const fifos = new Stock(() => makeFifos(places.fifos, busybox), FIFO_LOW);
  opened.push(() => fifos.stop());
  await fifos.start();
  const book = new RecipeBook({ api, info, owner: directory, namespace, bases, precompiled });
  await book.tidy(hasContainers);
  const cgroupHome = () => presentCgroupHome(spawner, own);
  return { kitchen, spawner, places, scratch, sweeper, fifos, book, cgroupHome };
}

/** What has to be closed, in the other order, when the rest does not come about. */
class Opened {
  readonly #closers: (() => Promise<void>)[] = [];

  push(close: () => Promise<void>): void {
    this.#closers.unshift(close);
  }

  async close(): Promise<void> {
    for (const close of this.#closers) await close().catch(() => undefined);
  }
}

async function installTools(places: LanePlaces, busybox: string): Promise<void> {
  const tools = join(places.tools, TOOLS);
  await mkdir(tools, { recursive: true, mode: 0o700 });
  await rm(join(tools, 'busybox'), { force: true });
  await copyFile(busybox, join(tools, 'busybox'));
}

/** Containers go on; a lane at the same place finds them. Without any, nothing stays that only a namespace could delete. */
export async function closeCrunLane(lane: CrunLane): Promise<void> {
  const { kitchen, spawner, sweeper, book, places, scratch, fifos } = lane;
  await spawner.stop();
  await book.stop();
  // What is being made for the stock would come back after it was deleted.
  await Promise.all([scratch.stop(), fifos.stop()]);
  if (!(await hasCrunAttempts(places.directory))) {
    for (const place of [places.bases, places.scratch, places.files]) await sweeper.discard(place);
    // Podman may be gone by now; then the next start does it.
    await book.tidy(false).catch(() => undefined);
    await leaveMemory(places.directory);
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

/** On the disk, of all containers that were found. */
async function placesInUse({ attempts }: LanePlaces): Promise<ReadonlySet<string>> {
  const inUse = new Set<string>();
  for (const peer of await readdir(attempts)) {
    for (const name of await readdir(join(attempts, peer))) {
      const files = new AttemptFiles(join(attempts, peer, name));
      for (const place of files.places()) inUse.add(place);
    }
  }
  return inUse;
}
