import type { Clock } from '@podmesh/core';
import {
  type ArtifactRef,
  type Claimed,
  type ContainerExit,
  type ContainerRuntime,
  type Failure,
  isDigest,
  KILL_GRACE_MS,
  type LogRef,
  type LogSink,
  type Machine,
  type Offer,
  type PeerId,
  type RunningContainer,
  type TaskResult,
} from '@podmesh/core';
import { AttemptFailure, failureOfError } from './attempt-failure.ts';
import {
  failureOfExit,
  failureOfStart,
  reportExit,
  reportUsage,
  type StopReason,
} from './outcome.ts';
import type { LogSpool, TaskFiles } from './task-files.ts';

/** How an attempt ended, before anybody was told. */
export type Ending =
  | { readonly kind: 'succeeded'; readonly result: TaskResult }
  | { readonly kind: 'failed'; readonly failure: Failure };

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
      this.#image = image ?? (await this.resolveImage());
      const container = await this.#start(labels, log);
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
      this.#image = image ?? (await this.resolveImage());
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
      if (stopped !== undefined || ended.signal.aborted) return;
      stopped = reason;
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
      const entries = await container.readOutput(output);
      if (!entries.ok) {
        const message = `output ${name}: ${entries.error.message}`;
        return { kind: 'missing', failure: { kind: 'output-missing', message } };
      }
      const kind = output.kind === 'dir' ? 'dir' : 'file';
      stored[name] = await this.#parts.files.storeOutput(kind, entries.value);
    }
    return { stored };
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

/** Killed between creating a container and starting it, a daemon finds one that will never end. */
function neverRan(error: unknown): AttemptFailure {
  const why = error instanceof Error ? error.message : String(error);
  return new AttemptFailure(
    'peer-lost',
    `this peer was killed at the start of a task: ${why}`,
    error,
  );
}

/** The local image id of a reference or digest, asking the machine's own registries if it has any. */
export async function resolveNamedImage(
  runtime: ContainerRuntime,
  image: Exclude<Claimed<Offer>['value']['image'], { kind: 'archive' }>,
  signal: AbortSignal,
): Promise<string> {
  const name = image.kind === 'digest' ? image.digest : image.reference;
  const found = await runtime.resolveImage(name, false, signal);
  if (found.ok) return found.value;
  const reference = image.kind === 'digest' ? (image.reference ?? name) : name;
  const pulled = isLocal(reference) ? found : await runtime.resolveImage(reference, true, signal);
  if (!pulled.ok) {
    const kind = pulled.error.kind === 'platform' ? 'image-platform' : 'image-unavailable';
    throw new AttemptFailure(kind, pulled.error.message);
  }
  if (image.kind === 'digest' && pulled.value !== image.digest) {
    throw new AttemptFailure(
      'image-unavailable',
      `${reference} is ${pulled.value} here, the run wants ${image.digest}; the tag was moved`,
    );
  }
  return pulled.value;
}

/** An id, or a name that Podman gives to what was built here: no registry could have it. */
function isLocal(reference: string): boolean {
  return isDigest(reference) || reference.startsWith('localhost/');
}
