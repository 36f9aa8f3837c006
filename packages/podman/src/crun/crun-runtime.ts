import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type {
  ContainerLabels,
  ContainerRuntime,
  ContainerSpec,
  ImageProblem,
  LogSink,
  PeerId,
  PullProgress,
  Result,
  RunningContainer,
  RuntimeDescription,
  StartProblem,
} from '@podmesh/core';
import { ok, refused } from '@podmesh/core';
import { runCanary } from '../canary.ts';
import { attemptCgroup, removeCgroup, removeStaleCgroups } from '../container-cgroup.ts';
import { outputFds } from '../fd-launcher.ts';
import { PodmanAbortedError } from '../podman-errors.ts';
import { KERNEL_LIMITS, WATCHED_LIMITS } from '../podman-host.ts';
import type { PodmanRuntime } from '../podman-runtime.ts';
import { startProblem } from '../start-problem.ts';
import { type AttemptFacts, AttemptFiles, readFacts } from './attempt-files.ts';
import { type CgroupHome, makeCgroup, readCgroup } from './cgroup-home.ts';
import { chainOrder, containerId } from './chain.ts';
import type { ChainWatch } from './chain-watch.ts';
import { CrunContainer } from './crun-container.ts';
import { CrunFailedError, CrunUnavailableError } from './crun-errors.ts';
import { type CrunLane, type CrunLaneOptions, closeCrunLane, openCrunLane } from './crun-lane.ts';
import { ATTEMPTS_MAX, ORDERS_MAX, OUTPUT_FD_MAX, START_MS_MAX } from './crun-limits.ts';
import { isHeld } from './fifo.ts';
import { commandOf, fillRecipe, type Recipe } from './recipe.ts';
import type { Scratch } from './scratch-stock.ts';

const LANE = 'podmesh-crun';

/** What an attempt of this daemon's own was made of. */
interface Made {
  readonly recipe: Recipe;
  readonly scratch: Scratch;
}

type Started = Result<RunningContainer, StartProblem>;

/**
 * The fast lane: Podman writes the recipe once for each image, crun cooks many. No process of ours
 * stands between a container and the kernel, and none has to live for it. What it does not do itself
 * (a network, descriptors beyond reason) it leaves to Podman.
 */
export class CrunRuntime implements ContainerRuntime {
  readonly #podman: PodmanRuntime;
  readonly #lane: CrunLane;
  /** Containers that this daemon holds, by directory: two readers would each get half of a log. */
  readonly #held = new Map<string, CrunContainer>();
  /** Directories that are being made, and are nobody's left-over. */
  readonly #making = new Set<string>();
  /** Cgroups of containers that were not removed yet, by directory: not stale, though maybe empty. */
  readonly #cgroups = new Map<string, string>();
  #isClosed = false;

  private constructor(podman: PodmanRuntime, lane: CrunLane) {
    this.#podman = podman;
    this.#lane = lane;
  }

  /** Throws `CrunUnavailableError`, whose message says what to do. */
  static async open(podman: PodmanRuntime, options: CrunLaneOptions): Promise<CrunRuntime> {
    return new CrunRuntime(podman, await openCrunLane(podman.api, options));
  }

  /** Lets containers go; they run on, and who opens the same directory later finds them. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    for (const container of this.#held.values()) container.letGo();
    await closeCrunLane(this.#lane);
  }

  async describe(): Promise<RuntimeDescription> {
    const description = await this.#podman.describe();
    const limits = (await this.#lane.cgroupHome())?.limits ? KERNEL_LIMITS : WATCHED_LIMITS;
    return { ...description, name: 'crun', runtimes: ['crun'], limits };
  }

  images(): Promise<ReadonlyMap<string, readonly string[]>> {
    return this.#podman.images();
  }

  resolveImage(
    reference: string,
    pull: false | PullProgress,
    signal: AbortSignal,
  ): Promise<Result<string, ImageProblem>> {
    // A question to Podman for each task would take a third of all that a task takes.
    if (this.#lane.book.keeps(reference)) return Promise.resolve(ok(reference));
    return this.#podman.resolveImage(reference, pull, signal);
  }

  loadImage(archivePath: string, signal: AbortSignal): Promise<Result<string, ImageProblem>> {
    return this.#podman.loadImage(archivePath, signal);
  }

  probe(peer: PeerId, signal: AbortSignal): Promise<string | undefined> {
    return runCanary(this, peer, this.#lane.kitchen.busybox, signal);
  }

  async start(spec: ContainerSpec, log: LogSink, signal: AbortSignal): Promise<Started> {
    if (signal.aborted) throw new PodmanAbortedError('start a container', signal.reason);
    const tooHigh = outputFds(spec.outputs).some((fd) => fd > OUTPUT_FD_MAX);
    if (spec.net || tooHigh) return await this.#podman.start(spec, log, signal);
    const { book } = this.#lane;
    const taken = await this.#recipeOf(spec);
    if (taken === undefined) return await this.#podman.start(spec, log, signal);
    if (!taken.ok) return taken;
    if (commandOf(taken.value, spec).length === 0) {
      book.done(spec.image);
      return refused(startProblem('no command or entrypoint provided'));
    }
    try {
      return await this.#cook(taken.value, spec, log, signal);
    } catch (error) {
      if (isDiskFull(error)) return refused(startProblem('no space left on device'));
      if (!isPodmansOwn(error, spec)) throw error;
      return await this.#podman.start(spec, log, signal);
    }
  }

  /** Undefined of an image that only Podman can run, where the job does not insist on this lane. */
  async #recipeOf(spec: ContainerSpec): Promise<Result<Recipe, StartProblem> | undefined> {
    try {
      return await this.#lane.book.use(spec.image);
    } catch (error) {
      if (isPodmansOwn(error, spec)) return undefined;
      throw error;
    }
  }

  async leftovers(peer: PeerId): Promise<readonly RunningContainer[]> {
    const directory = this.#lane.places.attemptsOf(peer);
    const names = await readdir(directory).catch(() => []);
    const found: RunningContainer[] = [];
    for (const name of names.slice(0, ATTEMPTS_MAX)) {
      const container = await this.#find(join(directory, name), peer);
      if (container !== undefined) found.push(container);
    }
    const home = await this.#lane.cgroupHome();
    // Asked at each one, as others are made meanwhile.
    const kept = { has: (cgroup: string) => [...this.#cgroups.values()].includes(cgroup) };
    if (home !== undefined) await removeStaleCgroups(home.base, peer, kept, LANE);
    return found;
  }

  async #cook(
    recipe: Recipe,
    spec: ContainerSpec,
    log: LogSink,
    signal: AbortSignal,
  ): Promise<Started> {
    const { peer, claim } = spec.labels;
    const attempts = this.#lane.places.attemptsOf(peer);
    mkdirSync(attempts, { recursive: true, mode: 0o700 });
    const files = new AttemptFiles(join(attempts, claim));
    const isFirst = !this.#making.has(files.directory);
    this.#making.add(files.directory);
    let container: CrunContainer | undefined;
    try {
      const home = await this.#lane.cgroupHome();
      const hasCgroup = home !== undefined;
      const outputs = outputFds(spec.outputs);
      const order = chainOrder({ files, layers: recipe.layers, outputFds: outputs, hasCgroup });
      container = await this.#prepare(files, recipe, spec, home);
      const watch = container.watch();
      watch.listen();
      await this.#order(order, files, watch);
      if (await untilStarted(watch, signal)) {
        watch.pour(log);
        return ok(container);
      }
      const reason = files.readProblem();
      if (reason === '') throw new CrunFailedError('start a container', 'its chain was killed');
      // The layers are not what they were: somebody removed the image by force.
      if (reason.startsWith('mount:')) this.#lane.book.forget(spec.image);
      const problem = startProblem(reason);
      await container.remove();
      return refused(problem);
    } catch (error) {
      // Of an earlier try of the same attempt, whose container may still be on its way out.
      if (isThereAlready(error)) this.#lane.book.done(spec.image);
      else await (container?.remove() ?? this.#discardUnmade(files, spec));
      throw error;
    } finally {
      // The mark is that of the first: who comes second finds its directory there.
      if (isFirst) this.#making.delete(files.directory);
    }
  }

  /**
   * A shell that was killed may have started the chain or not. Its pipes are closed only when every
   * chain of it holds its own FIFOs, so what is not held then will never come, and is ordered again.
   */
  async #order(order: string, files: AttemptFiles, watch: ChainWatch, tries = 1): Promise<void> {
    const onGone = () => {
      const hasCome = watch.hasBegun || isHeld(files.release) || files.readExit() !== undefined;
      if (hasCome || tries >= ORDERS_MAX) return watch.lookAgain();
      this.#order(order, files, watch, tries + 1).catch(() => watch.lookAgain());
    };
    const forget = await this.#lane.spawner.start(order, onGone);
    void watch.started.finally(forget);
  }

  async #prepare(
    files: AttemptFiles,
    recipe: Recipe,
    spec: ContainerSpec,
    home: CgroupHome | undefined,
  ): Promise<CrunContainer> {
    const { scratch, kitchen } = this.#lane;
    const cgroup = home && this.#makeCgroup(home, files, spec.labels);
    const own = cgroup === undefined ? {} : { cgroup };
    const taken = await scratch.take(recipe);
    const limits = home?.limits ?? false;
    const place = { files: taken.files.directory, root: kitchen.merged, limits, ...own };
    try {
      files.make(fillRecipe(recipe, spec, place), taken);
    } catch (error) {
      // What is there already has its own; of what could not be made nothing tells what it was to have.
      if (isThereAlready(error) || files.places().length === 0)
        await scratch.giveBack(taken, recipe);
      throw error;
    }
    files.makeOutputs(outputFds(spec.outputs));
    files.takeFifos(await this.#lane.fifos.take(files.fifos.length));
    const { image, layers } = recipe;
    const facts = { labels: spec.labels, image, layers, ...own };
    return this.#hold(files, facts, { recipe, scratch: taken });
  }

  #makeCgroup(
    home: CgroupHome,
    { directory }: AttemptFiles,
    { peer, claim }: ContainerLabels,
  ): string {
    const cgroup = attemptCgroup(home.base, peer, claim, LANE);
    this.#cgroups.set(directory, cgroup);
    makeCgroup(home, cgroup);
    return cgroup;
  }

  #hold(files: AttemptFiles, facts: AttemptFacts, made?: Made): CrunContainer {
    const { labels, layers, image, cgroup } = facts;
    let rest = made;
    const container = new CrunContainer(this.#lane.kitchen, {
      id: containerId(labels.claim),
      files,
      labels,
      layers,
      isFound: made === undefined,
      usage: () => (cgroup === undefined ? undefined : readCgroup(cgroup)),
      ...(cgroup === undefined ? {} : { cgroup }),
      discard: async (isOver) => {
        // Once: a layer that was given back is somebody else's when the rest has to be tried again.
        const own = isOver ? rest : undefined;
        rest = undefined;
        await this.#discard(files, own);
        // Of a container that an earlier daemon started, this one's book knows nothing.
        if (made !== undefined) this.#lane.book.done(image);
      },
    });
    this.#held.set(files.directory, container);
    return container;
  }

  async #discardUnmade(files: AttemptFiles, { image }: ContainerSpec): Promise<void> {
    await this.#discard(files);
    this.#lane.book.done(image);
  }

  /** What it had on the disk is for the next one, when it is known to be as it was made. */
  async #discard(files: AttemptFiles, made?: Made): Promise<void> {
    const { scratch, sweeper } = this.#lane;
    const onDisk = files.places();
    files.remove();
    if (made !== undefined) await scratch.giveBack(made.scratch, made.recipe);
    else for (const place of onDisk) await sweeper.discard(place);
    this.#held.delete(files.directory);
    const cgroup = this.#cgroups.get(files.directory);
    if (cgroup === undefined) return;
    removeCgroup(cgroup);
    this.#cgroups.delete(files.directory);
  }

  /** What was half made when a daemon died never ran, and is nobody's. */
  async #find(directory: string, peer: PeerId): Promise<CrunContainer | undefined> {
    const held = this.#held.get(directory);
    if (held !== undefined || this.#making.has(directory)) return held;
    const files = new AttemptFiles(directory);
    const facts = files.isWhole() ? await readFacts(files, peer) : undefined;
    if (facts !== undefined) {
      files.openUp();
      if (facts.cgroup !== undefined) this.#cgroups.set(directory, facts.cgroup);
      return this.#hold(files, facts);
    }
    await this.#discard(files);
    return undefined;
  }
}

/** Whether it is said of an image that only Podman can run, and the job does not insist on this lane. */
function isPodmansOwn(error: unknown, { requirements }: ContainerSpec): boolean {
  return error instanceof CrunUnavailableError && requirements.runtime !== 'crun';
}

/** Whether the command runs; false when the chain ended without running it. */
async function untilStarted(watch: ChainWatch, signal: AbortSignal): Promise<boolean> {
  const late = AbortSignal.any([signal, AbortSignal.timeout(START_MS_MAX)]);
  const aborted = once(late, 'abort');
  const runs = await Promise.race([watch.started, aborted.then(() => undefined)]);
  if (runs !== undefined) return runs;
  if (signal.aborted) throw new PodmanAbortedError('start a container', signal.reason);
  throw new CrunFailedError('start a container', `it took more than ${START_MS_MAX / 1_000} s`);
}

function isDiskFull(error: unknown): boolean {
  return (
    error instanceof Error && 'code' in error && ['ENOSPC', 'EDQUOT'].includes(String(error.code))
  );
}

function isThereAlready(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'EEXIST';
}
