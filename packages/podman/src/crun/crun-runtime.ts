import type {
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
import { outputFds } from '../fd-launcher.ts';
import { PodmanAbortedError } from '../podman-errors.ts';
import { KERNEL_LIMITS, WATCHED_LIMITS } from '../podman-host.ts';
import type { PodmanRuntime } from '../podman-runtime.ts';
import { startProblem } from '../start-problem.ts';
import type { AttemptFiles } from './attempt-files.ts';
import { chainOrder } from './chain.ts';
import type { ChainWatch } from './chain-watch.ts';
import { CrunAttempts } from './crun-attempts.ts';
import type { CrunContainer } from './crun-container.ts';
import { CrunFailedError, CrunUnavailableError } from './crun-errors.ts';
import { type CrunLane, type CrunLaneOptions, closeCrunLane, openCrunLane } from './crun-lane.ts';
import { ORDERS_MAX, OUTPUT_FD_MAX, START_MS_MAX } from './crun-limits.ts';
import { isHeld } from './fifo.ts';
import { commandOf, type Recipe } from './recipe.ts';
import { isInMemory, withSecretEnv } from './secret-env.ts';

type Started = Result<RunningContainer, StartProblem>;

/**
 * The fast lane: Podman writes the recipe once for each image, crun cooks many. No process of ours
 * stands between a container and the kernel, and none has to live for it. What it does not do itself
 * (a network, descriptors beyond reason) it leaves to Podman.
 */
export class CrunRuntime implements ContainerRuntime {
  readonly #podman: PodmanRuntime;
  readonly #lane: CrunLane;
  readonly #attempts: CrunAttempts;
  #isClosed = false;

  private constructor(podman: PodmanRuntime, lane: CrunLane) {
    this.#podman = podman;
    this.#lane = lane;
    this.#attempts = new CrunAttempts(lane);
  }

  /** Throws `CrunUnavailableError`, whose message says what to do. */
  static async open(podman: PodmanRuntime, options: CrunLaneOptions): Promise<CrunRuntime> {
    return new CrunRuntime(podman, await openCrunLane(podman.api, options));
  }

  /** Lets containers go; they run on, and who opens the same directory later finds them. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#attempts.letGo();
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
    const isOpen = spec.secretEnv !== undefined && !isInMemory(this.#lane.places);
    if (spec.net || tooHigh || isOpen) return await this.#podman.start(spec, log, signal);
    const { book } = this.#lane;
    const taken = await this.#recipeOf(spec);
    if (taken === undefined) return await this.#podman.start(spec, log, signal);
    if (!taken.ok) return taken;
    if (commandOf(taken.value, spec).length === 0) {
      book.done(spec.image);
      return refused(startProblem('no command or entrypoint provided'));
    }
    try {
      return await this.#cook(taken.value, withSecretEnv(spec), log, signal);
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
    await this.#lane.book.lookAfterPins();
    return await this.#attempts.leftovers(peer);
  }

  async #cook(
    recipe: Recipe,
    spec: ContainerSpec,
    log: LogSink,
    signal: AbortSignal,
  ): Promise<Started> {
    const files = this.#attempts.filesOf(spec);
    let container: CrunContainer | undefined;
    try {
      const home = await this.#lane.cgroupHome();
      const hasCgroup = home !== undefined;
      const outputs = outputFds(spec.outputs);
      const order = chainOrder({ files, layers: recipe.layers, outputFds: outputs, hasCgroup });
      container = await this.#attempts.make(files, recipe, spec, home);
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
      if (container === undefined) this.#lane.book.done(spec.image);
      else await container.remove();
      throw error;
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
}

/** Whether it is said of an image that only Podman can run, and the job does not insist on this lane. */
function isPodmansOwn(error: unknown, { requirements }: ContainerSpec): boolean {
  return error instanceof CrunUnavailableError && requirements.runtime !== 'crun';
}

/** Whether the command runs; false when the chain ended without running it. */
function untilStarted(watch: ChainWatch, signal: AbortSignal): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const end = (): void => {
      clearTimeout(late);
      signal.removeEventListener('abort', onAbort);
    };
    const fail = (error: Error): void => {
      end();
      reject(error);
    };
    const onAbort = (): void => fail(new PodmanAbortedError('start a container', signal.reason));
    const late = setTimeout(() => {
      const limit = `it took more than ${START_MS_MAX / 1_000} s`;
      fail(new CrunFailedError('start a container', limit));
    }, START_MS_MAX);
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) onAbort();
    void watch.started.then((runs) => {
      end();
      resolve(runs);
    });
  });
}

function isDiskFull(error: unknown): boolean {
  return (
    error instanceof Error && 'code' in error && ['ENOSPC', 'EDQUOT'].includes(String(error.code))
  );
}
