import type { Clock } from '@podmesh/core';
import {
  type ArtifactRef,
  type ContainerExit,
  type ContainerRuntime,
  type Failure,
  keptOutputs,
  type LimitsEnforced,
  type LogRef,
  type LogSink,
  type Machine,
  type Offer,
  type OutputProblem,
  type OutputRef,
  ok,
  type PeerId,
  PortError,
  type PullProgress,
  type Result,
  type RunningContainer,
  type TaskResult,
} from '@podmesh/core';
import { AttemptFailure, failureOfError, neverRan } from './attempt-failure.ts';
import type { AttemptStep } from './attempt-step.ts';
import { watchedBounds } from './limit-watch.ts';
import { failureOfExit, failureOfStart, reportExit, reportUsage } from './outcome.ts';
import { OutputAllowance } from './output-allowance.ts';
import { resolveNamedImage } from './resolve-named-image.ts';
import { orderOf } from './stop-order.ts';
import { supervise } from './supervise.ts';
import type { LogSpool, TaskFiles } from './task-files.ts';

/** How an attempt ended, before anybody was told. */
export type Ending =
  | { readonly kind: 'succeeded'; readonly result: TaskResult }
  | { readonly kind: 'failed'; readonly failure: Failure };

/** How long an attempt waits for a service of its machine, or the mesh, that does not answer. */
const PATIENCE_MS = 60_000;
const PATIENCE_STEP_MS = 500;

export interface ContainerRunParts {
  readonly runtime: ContainerRuntime;
  readonly files: TaskFiles;
  readonly clock: Clock;
  readonly machine: () => Machine;
  /** What holds a task to its limits on this machine. */
  readonly limits: () => LimitsEnforced;
  readonly peer: PeerId;
  /** Called at every step of an attempt, so that tests can end the process exactly there. */
  readonly onStep?: ((step: AttemptStep) => void) | undefined;
}

/** Who has to know of the container of one attempt. */
export interface ContainerWitness {
  /** It runs; must not throw. */
  started(container: RunningContainer): Promise<void>;
  /** It does not run any more. */
  ended(): void;
}

/** Everything between `attempt-started` and the outcome: inputs, image, container, outputs. */
export class ContainerRun {
  readonly #parts: ContainerRunParts;
  readonly #offer: Offer;
  readonly #spool: LogSpool;
  readonly #stop: AbortSignal;
  readonly #witness: ContainerWitness | undefined;
  readonly #onPull: PullProgress;
  #image = '';
  #container: RunningContainer | undefined;
  #isAdopted = false;

  /** `stop` aborts with a `StopOrder` as its reason. */
  constructor(
    parts: ContainerRunParts,
    attempt: {
      readonly offer: Offer;
      readonly spool: LogSpool;
      readonly stop: AbortSignal;
      readonly witness?: ContainerWitness;
      /** Told how far the pull of the image is. */
      readonly onPull?: PullProgress;
    },
  ) {
    this.#parts = parts;
    this.#offer = attempt.offer;
    this.#spool = attempt.spool;
    this.#stop = attempt.stop;
    this.#witness = attempt.witness;
    this.#onPull = attempt.onPull ?? (() => undefined);
  }

  /** Runs a new container to its end; never throws. `log` gets its output besides the spool. */
  async execute(
    image: string | undefined,
    labels: RunningContainer['labels'],
    log: LogSink,
  ): Promise<Ending> {
    try {
      this.#image = image ?? (await this.#patiently(() => this.resolveImage()));
      this.#step('image-resolved');
      const container = await this.#patiently(() => this.#start(labels, log));
      return await this.#finish(container);
    } catch (error) {
      return this.fail(error);
    }
  }

  /** Goes on with a container that an earlier daemon started; never throws. */
  async adopt(container: RunningContainer, image: string | undefined): Promise<Ending> {
    this.#container = container;
    this.#isAdopted = true;
    try {
      this.#image = image ?? (await this.#patiently(() => this.resolveImage()));
      return await this.#finish(container);
    } catch (error) {
      return this.fail(error);
    }
  }

  /** Ends the attempt before there is a container; never throws. */
  fail(error: unknown): Promise<Ending> {
    if (!this.#stop.aborted) return this.#failed(failureOfError(error));
    // Whatever broke, it broke because we were told to stop.
    const { kind, message } = orderOf(this.#stop);
    return this.#failed({ kind, message });
  }

  /** Removes the container; after the outcome is in the log, so that a restart can adopt until then. */
  async cleanUp(): Promise<void> {
    await this.#container?.remove();
    await this.#spool.discard();
  }

  /** The image id this offer means on this machine. */
  async resolveImage(): Promise<string> {
    const { image } = this.#offer;
    const { runtime, files } = this.#parts;
    if (image.kind === 'archive') {
      const ref: ArtifactRef = { digest: image.archive, kind: 'file', bytes: 0 };
      const loaded = await runtime.loadImage(await files.input(ref), this.#stop);
      if (loaded.ok) return loaded.value;
      throw new AttemptFailure(
        loaded.error.kind === 'platform' ? 'image-platform' : 'image-unavailable',
        loaded.error.message,
      );
    }
    const { arch } = this.#parts.machine();
    return resolveNamedImage(runtime, image, { arch, pull: this.#onPull, signal: this.#stop });
  }

  async #start(labels: RunningContainer['labels'], log: LogSink): Promise<RunningContainer> {
    const { runtime, files } = this.#parts;
    const { command, env, mountAt, net, outputs, requirements } = this.#offer;
    const inputs: Record<string, string> = {};
    for (const [name, artifact] of Object.entries(this.#offer.inputs)) {
      inputs[name] = await files.input(artifact);
    }
    this.#throwIfStopped();
    this.#step('inputs-ready');
    const started = await runtime.start(
      {
        labels,
        image: this.#image,
        ...(command === undefined ? {} : { command }),
        env,
        inputs,
        ...(mountAt === undefined ? {} : { mountAt }),
        outputs,
        net,
        requirements,
        scratchDir: await files.scratch(labels.claim),
      },
      log,
      this.#stop,
    );
    if (started.ok) return started.value;
    this.#throwIfStopped();
    const { kind, message } = failureOfStart(started.error);
    throw new AttemptFailure(kind, message);
  }

  async #finish(container: RunningContainer): Promise<Ending> {
    this.#container = container;
    if (!this.#isAdopted) this.#step('container-started');
    await this.#witness?.started(container);
    const { exit, stopped } = await this.#supervise(container);
    this.#step('container-ended');
    const failure = failureOfExit(this.#offer, exit, stopped);
    if (failure !== undefined) return this.#failed(failure, { exit, container });
    const outputs = await this.#storeOutputs(container);
    if ('kind' in outputs) return this.#failed(outputs.failure, { exit, container });
    this.#step('outputs-stored');
    const log = await this.#spool.store();
    this.#step('log-stored');
    const result: TaskResult = {
      inputs: this.#inputDigests(),
      outputs: outputs.stored,
      exit: reportExit(exit),
      usage: reportUsage(exit),
      log,
      machine: this.#parts.machine(),
      peer: this.#parts.peer,
      image: this.#image,
    };
    return { kind: 'succeeded', result };
  }

  async #supervise(container: RunningContainer): ReturnType<typeof supervise> {
    const { clock, limits } = this.#parts;
    const supervision = { clock, offer: this.#offer, limits: limits(), stop: this.#stop };
    try {
      return await supervise(container, supervision);
    } catch (error) {
      throw this.#isAdopted ? neverRan(error) : error;
    } finally {
      this.#witness?.ended();
    }
  }

  async #storeOutputs(
    container: RunningContainer,
  ): Promise<
    | { readonly stored: Record<string, ArtifactRef> }
    | { readonly kind: 'missing'; readonly failure: Pick<Failure, 'kind' | 'message'> }
  > {
    const stored: Record<string, ArtifactRef> = {};
    const bounds = watchedBounds(this.#offer.requirements, this.#parts.limits());
    const allowance = new OutputAllowance(bounds.diskBytes);
    for (const [name, output] of Object.entries(this.#offer.outputs)) {
      const kept = await this.#patiently(() => this.#storeOutput(container, output, allowance));
      if (!kept.ok) {
        const message = `output ${name}: ${kept.error.message}`;
        return { kind: 'missing', failure: { kind: 'output-missing', message } };
      }
      stored[name] = kept.value;
    }
    return { stored };
  }

  async #storeOutput(
    container: RunningContainer,
    output: OutputRef,
    allowance: OutputAllowance,
  ): Promise<Result<ArtifactRef, OutputProblem>> {
    const entries = await container.readOutput(output);
    if (!entries.ok) return entries;
    const kind = output.kind === 'dir' ? 'dir' : 'file';
    const { files } = this.#parts;
    return ok(await allowance.spend(entries.value, (given) => files.storeOutput(kind, given)));
  }

  /** Podman's service and the mesh may be away for a while: work that can be repeated waits for them. */
  async #patiently<T>(work: () => Promise<T>): Promise<T> {
    const { clock } = this.#parts;
    const untilMs = clock.nowMs() + PATIENCE_MS;
    for (;;) {
      try {
        return await work();
      } catch (error) {
        const passing = error instanceof PortError && error.retryable;
        if (!passing || this.#stop.aborted || clock.nowMs() >= untilMs) throw error;
        await clock.sleep(PATIENCE_STEP_MS, this.#stop);
      }
    }
  }

  async #failed(
    what: Pick<Failure, 'kind' | 'message'>,
    ran?: { readonly exit: ContainerExit; readonly container: RunningContainer },
  ): Promise<Ending> {
    const outputs = ran === undefined ? {} : await this.#keepOutputs(what.kind, ran.container);
    const log = await this.#spool.store().catch((): LogRef | undefined => undefined);
    const failure: Failure = {
      kind: what.kind,
      message: what.message,
      inputs: this.#inputDigests(),
      ...(ran === undefined ? {} : { exit: reportExit(ran.exit), usage: reportUsage(ran.exit) }),
      ...(log === undefined ? {} : { log }),
      ...(Object.keys(outputs).length === 0 ? {} : { outputs }),
      stderrTail: this.#spool.stderrTail(),
      machine: this.#parts.machine(),
    };
    return { kind: 'failed', failure };
  }

  /** What the task left on its way down is welcome; that it failed is known without it. */
  async #keepOutputs(
    failed: Failure['kind'],
    container: RunningContainer,
  ): Promise<Record<string, ArtifactRef>> {
    const kept: Record<string, ArtifactRef> = {};
    const { diskBytes } = watchedBounds(this.#offer.requirements, this.#parts.limits());
    const allowance = new OutputAllowance(diskBytes);
    for (const [name, output] of keptOutputs(this.#offer, failed)) {
      const work = () => this.#storeOutput(container, output, allowance);
      const stored = await this.#patiently(work).catch(() => undefined);
      if (stored?.ok === true) kept[name] = stored.value;
    }
    return kept;
  }

  #inputDigests(): TaskResult['inputs'] {
    return Object.fromEntries(
      Object.entries(this.#offer.inputs).map(([name, ref]) => [name, ref.digest]),
    );
  }

  #step(step: AttemptStep): void {
    this.#parts.onStep?.(step);
  }

  #throwIfStopped(): void {
    if (!this.#stop.aborted) return;
    const { kind, message } = orderOf(this.#stop);
    throw new AttemptFailure(kind, `ended before its container was started: ${message}`);
  }
}
