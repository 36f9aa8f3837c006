import type { Clock } from '@podmesh/core';
import {
  type ArtifactRef,
  type ContainerExit,
  type ContainerRuntime,
  type Failure,
  KILL_GRACE_MS,
  type LogRef,
  type LogSink,
  type Machine,
  type Offer,
  type OutputProblem,
  type OutputRef,
  ok,
  type PeerId,
  PortError,
  type Result,
  type RunningContainer,
  type TaskResult,
} from '@podmesh/core';
import { AttemptFailure, failureOfError, neverRan } from './attempt-failure.ts';
import {
  failureOfExit,
  failureOfStart,
  reportExit,
  reportUsage,
  type StopReason,
} from './outcome.ts';
import { resolveNamedImage } from './resolve-named-image.ts';
import type { LogSpool, TaskFiles } from './task-files.ts';

/** How an attempt ended, before anybody was told. */
export type Ending =
  | { readonly kind: 'succeeded'; readonly result: TaskResult }
  | { readonly kind: 'failed'; readonly failure: Failure };

/** How long an attempt waits for a service of its machine, or the mesh, that does not answer. */
const PATIENCE_MS = 60_000;
const PATIENCE_STEP_MS = 500;
/** Rest before a container is told again to stop. */
const STOP_AGAIN_MS = 200;

export interface ContainerRunParts {
  readonly runtime: ContainerRuntime;
  readonly files: TaskFiles;
  readonly clock: Clock;
  readonly machine: () => Machine;
  readonly peer: PeerId;
}

/** Everything between `attempt-started` and the outcome: inputs, image, container, outputs. */
export class ContainerRun {
  readonly #parts: ContainerRunParts;
  readonly #offer: Offer;
  readonly #spool: LogSpool;
  readonly #stop: AbortSignal;
  #image = '';
  #container: RunningContainer | undefined;
  #isAdopted = false;

  /** `stop` aborts with a `StopReason` as its reason. */
  constructor(parts: ContainerRunParts, offer: Offer, spool: LogSpool, stop: AbortSignal) {
    this.#parts = parts;
    this.#offer = offer;
    this.#spool = spool;
    this.#stop = stop;
  }

  /** Runs a new container to its end; never throws. `log` gets its output besides the spool. */
  async execute(
    image: string | undefined,
    labels: RunningContainer['labels'],
    log: LogSink,
  ): Promise<Ending> {
    try {
      this.#image = image ?? (await this.#patiently(() => this.resolveImage()));
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
    const kind = this.#stop.reason as StopReason;
    return this.#failed({ kind, message: `the attempt was ended by its peer: ${kind}` });
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
    return resolveNamedImage(runtime, image, this.#stop);
  }

  async #start(labels: RunningContainer['labels'], log: LogSink): Promise<RunningContainer> {
    const { runtime, files } = this.#parts;
    const { command, env, net, outputs, requirements } = this.#offer;
    const inputs: Record<string, string> = {};
    for (const [name, artifact] of Object.entries(this.#offer.inputs)) {
      inputs[name] = await files.input(artifact);
    }
    this.#throwIfStopped();
    const started = await runtime.start(
      {
        labels,
        image: this.#image,
        ...(command === undefined ? {} : { command }),
        env,
        inputs,
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
    const { exit, stopped } = await this.#waitOrStop(container);
    const failure = failureOfExit(this.#offer, exit, stopped);
    if (failure !== undefined) return this.#failed(failure, exit);
    const outputs = await this.#storeOutputs(container);
    if ('kind' in outputs) return this.#failed(outputs.failure, exit);
    const result: TaskResult = {
      inputs: this.#inputDigests(),
      outputs: outputs.stored,
      exit: reportExit(exit),
      usage: reportUsage(exit),
      log: await this.#spool.store(),
      machine: this.#parts.machine(),
      peer: this.#parts.peer,
      image: this.#image,
    };
    return { kind: 'succeeded', result };
  }

  async #waitOrStop(
    container: RunningContainer,
  ): Promise<{ exit: ContainerExit; stopped: StopReason | undefined }> {
    const ended = new AbortController();
    let stopped: StopReason | undefined;
    const stop = (reason: StopReason): void => {
      if (ended.signal.aborted) return;
      // Whatever grace was given before: the claim may pass to somebody else at any moment.
      if (stopped !== undefined && reason !== 'lease-lost') return;
      stopped ??= reason;
      // A lost lease may pass to somebody else at any moment: no grace.
      const graceMs = reason === 'lease-lost' ? 0 : KILL_GRACE_MS;
      void this.#stopForSure(container, graceMs, ended.signal);
    };
    const onStop = (): void => stop(this.#stop.reason as StopReason);
    const timer = this.#parts.clock
      .sleep(this.#offer.timeoutMs, ended.signal)
      .then(() => stop('timeout'));
    this.#stop.addEventListener('abort', onStop, { once: true });
    if (this.#stop.aborted) onStop();
    try {
      const exit = await container.wait().catch((error: unknown) => {
        throw this.#isAdopted ? neverRan(error) : error;
      });
      return { exit, stopped };
    } finally {
      // A reason of our own: the default one is an exception with a stack, made for every task.
      ended.abort('ended');
      this.#stop.removeEventListener('abort', onStop);
      await timer;
    }
  }

  /** Podman's service may be away for a moment: a stop that was not heard is said again. */
  async #stopForSure(
    container: RunningContainer,
    graceMs: number,
    ended: AbortSignal,
  ): Promise<void> {
    for (let grace = graceMs; !ended.aborted; grace = 0) {
      try {
        await container.stop(grace);
        return;
      } catch {
        await this.#parts.clock.sleep(STOP_AGAIN_MS, ended);
      }
    }
  }

  async #storeOutputs(
    container: RunningContainer,
  ): Promise<
    | { readonly stored: Record<string, ArtifactRef> }
    | { readonly kind: 'missing'; readonly failure: Pick<Failure, 'kind' | 'message'> }
  > {
    const stored: Record<string, ArtifactRef> = {};
    for (const [name, output] of Object.entries(this.#offer.outputs)) {
      const kept = await this.#patiently(() => this.#storeOutput(container, output));
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
  ): Promise<Result<ArtifactRef, OutputProblem>> {
    const entries = await container.readOutput(output);
    if (!entries.ok) return entries;
    const kind = output.kind === 'dir' ? 'dir' : 'file';
    return ok(await this.#parts.files.storeOutput(kind, entries.value));
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

  async #failed(what: Pick<Failure, 'kind' | 'message'>, exit?: ContainerExit): Promise<Ending> {
    const log = await this.#spool.store().catch((): LogRef | undefined => undefined);
    const failure: Failure = {
      kind: what.kind,
      message: what.message,
      inputs: this.#inputDigests(),
      ...(exit === undefined ? {} : { exit: reportExit(exit), usage: reportUsage(exit) }),
      ...(log === undefined ? {} : { log }),
      stderrTail: this.#spool.stderrTail(),
      machine: this.#parts.machine(),
    };
    return { kind: 'failed', failure };
  }

  #inputDigests(): TaskResult['inputs'] {
    return Object.fromEntries(
      Object.entries(this.#offer.inputs).map(([name, ref]) => [name, ref.digest]),
    );
  }

  #throwIfStopped(): void {
    if (!this.#stop.aborted) return;
    const reason = this.#stop.reason as StopReason;
    throw new AttemptFailure(reason, 'ended before its container was started');
  }
}
