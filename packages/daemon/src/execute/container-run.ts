import type {
  ArtifactRef,
  ClaimId,
  ContainerExit,
  Failure,
  LogRef,
  LogSink,
  Offer,
  PullProgress,
  RunningContainer,
  Sequence,
  TaskResult,
} from '@podmesh/core';
import type { Reservation } from '../claim/capacity-ledger.ts';
import { AttemptExternals } from '../external/attempt-externals.ts';
import {
  AttemptFailure,
  type AttemptProblem,
  failureOfAdopted,
  failureOfError,
  failureOfInput,
} from './attempt-failure.ts';
import type { AttemptStep } from './attempt-step.ts';
import type {
  AttemptAtHand,
  ContainerRunParts,
  ContainerWitness,
  Ending,
} from './container-run-parts.ts';
import { amidFullDisk } from './full-disk.ts';
import { failureOfExit, failureOfStart, reportExit, reportUsage } from './outcome.ts';
import { patiently } from './patiently.ts';
import { resolveArchive, resolveNamedImage } from './resolve-named-image.ts';
import { failureOfOrder, orderOf } from './stop-order.ts';
import { keepOutputs, type OutputStoring, storeOutputs } from './store-outputs.ts';
import { supervise } from './supervise.ts';
import type { LogSpool } from './task-files.ts';

/** Everything between `attempt-started` and the outcome: inputs, image, container, outputs. */
export class ContainerRun {
  readonly #parts: ContainerRunParts;
  /** With all inputs, as soon as they are known. */
  #offer: Offer;
  readonly #externals: AttemptExternals;
  readonly #claim: ClaimId;
  readonly #spool: LogSpool;
  readonly #stop: AbortSignal;
  readonly #witness: ContainerWitness | undefined;
  readonly #ranMs: number;
  readonly #onPull: PullProgress;
  readonly #reservation: Reservation | undefined;
  readonly #startedSequence: Sequence;
  #image = '';
  #container: RunningContainer | undefined;
  #isAdopted = false;
  /** How its container ended is known. */
  #hasEnded = false;

  /** `stop` aborts with a `StopOrder` as its reason. */
  constructor(parts: ContainerRunParts, attempt: AttemptAtHand) {
    this.#parts = parts;
    this.#offer = attempt.offer;
    this.#claim = attempt.claim;
    this.#externals = new AttemptExternals({ external: parts.external, ...parts }, attempt);
    this.#spool = attempt.spool;
    this.#stop = attempt.stop;
    this.#witness = attempt.witness;
    this.#ranMs = attempt.ranMs ?? 0;
    this.#onPull = attempt.onPull ?? (() => undefined);
    this.#reservation = attempt.reservation;
    this.#startedSequence = attempt.startedSequence ?? 0;
  }

  /** Runs a new container to its end; never throws. `log` gets its output besides the spool. */
  async execute(
    image: string | undefined,
    labels: RunningContainer['labels'],
    log: LogSink,
  ): Promise<Ending> {
    try {
      this.#offer = await this.#patiently(() => this.#externals.begin());
      this.#image = image ?? (await this.#patiently(() => this.resolveImage()));
      this.#step('image-resolved');
      const known = await this.#parts.known?.find(this.#offer, this.#image);
      if (known !== undefined) return await this.#deliverKnown(known);
      const container = await this.#patiently(() => this.#start(labels, log));
      return await this.#finish(container);
    } catch (error) {
      return this.fail(error);
    }
  }

  /** Goes on with a container that an earlier daemon started; never throws. */
  async adopt(
    container: RunningContainer,
    image: string | undefined,
    log?: LogSink,
  ): Promise<Ending> {
    this.#container = container;
    this.#isAdopted = true;
    try {
      this.#offer = await this.#patiently(() => this.#externals.resume());
      // Not before it is known what must not be told.
      this.#openDesk();
      await this.#attach(container);
      if (log !== undefined) container.replayLog(this.#externals.masked(log));
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
    return this.#failed(failureOfOrder(orderOf(this.#stop)));
  }

  /** Removes the container; after the outcome is in the log, so that a restart can adopt until then. */
  async cleanUp(): Promise<void> {
    this.#parts.desk?.close(this.#claim);
    await this.#container?.remove();
    this.#parts.desk?.remove(this.#claim, this.#hasEnded);
    await this.#spool.discard();
  }

  /** The image id this offer means on this machine. */
  async resolveImage(): Promise<string> {
    const { image } = this.#offer;
    const [progress, signal] = [this.#onPull, this.#stop];
    if (image.kind === 'archive') {
      const ref: ArtifactRef = { digest: image.archive, kind: 'file', bytes: 0 };
      const bring = () => this.#input(ref);
      return await resolveArchive(this.#parts, image.archive, { bring, progress, signal });
    }
    const { arch } = this.#parts.machine();
    return await resolveNamedImage(this.#parts.runtime, image, { arch, pull: progress, signal });
  }

  async #input(artifact: ArtifactRef): Promise<string> {
    try {
      const wish = { claim: this.#claim, signal: this.#stop };
      return await this.#parts.files.input(artifact, wish);
    } catch (error) {
      throw failureOfInput(artifact.digest, error);
    }
  }

  async #start(labels: RunningContainer['labels'], log: LogSink): Promise<RunningContainer> {
    const { runtime, files } = this.#parts;
    const { command, env, mountAt, net, outputs, requirements } = this.#offer;
    const inputs: Record<string, string> = {};
    for (const [name, artifact] of Object.entries(this.#offer.inputs)) {
      inputs[name] = await this.#input(artifact);
    }
    const secrets = await this.#externals.mounts();
    this.#throwIfStopped();
    this.#step('inputs-ready');
    const socketDir = this.#openDesk();
    const line = await this.#parts.desk?.line(this.#claim);
    const started = await runtime.start(
      {
        labels,
        image: this.#image,
        ...(command === undefined ? {} : { command }),
        env: { ...env, ...line?.env },
        inputs: { ...inputs, ...secrets.inputs },
        mountAt: { ...mountAt, ...secrets.mountAt },
        ...(secrets.secretEnv === undefined ? {} : { secretEnv: secrets.secretEnv }),
        outputs,
        net,
        requirements,
        scratchDir: files.scratch(labels.claim),
        ...(socketDir === undefined ? {} : { socketDir }),
        ...(line === undefined ? {} : { onReady: line.attach }),
      },
      this.#externals.masked(log),
      this.#stop,
    );
    if (started.ok) return started.value;
    this.#throwIfStopped();
    const { kind, message } = failureOfStart(started.error);
    throw new AttemptFailure(kind, message);
  }

  /** The directory with the socket at which this attempt is answered. */
  #openDesk(): string | undefined {
    const [desk, reservation] = [this.#parts.desk, this.#reservation];
    if (desk === undefined || reservation === undefined) return undefined;
    const [offer, claim, startedSequence] = [this.#offer, this.#claim, this.#startedSequence];
    const maskText = (text: string): string => this.#externals.maskText(text);
    return desk.open({ offer, claim, startedSequence, reservation, maskText });
  }

  /** What led from inside to the mesh was the daemon's that is gone. */
  async #attach(container: RunningContainer): Promise<void> {
    const line = await this.#parts.desk?.line(this.#claim);
    const pid = line === undefined ? undefined : await container.pid?.();
    if (pid !== undefined) await line?.attach(pid);
  }

  async #finish(container: RunningContainer): Promise<Ending> {
    this.#container = container;
    if (!this.#isAdopted) this.#step('container-started');
    await this.#witness?.started(container, this.#image);
    const { exit, stopped } = await this.#supervise(container);
    this.#hasEnded = true;
    this.#externals.flush();
    this.#step('container-ended');
    const { host, peer } = this.#parts;
    const found = failureOfExit(this.#offer, exit, stopped);
    const ended = { offer: this.#offer, container, stopped, peer, host };
    const failure = await amidFullDisk(found, ended);
    if (failure !== undefined) return this.#failed(failure, { exit, container });
    const stored = await storeOutputs(container, this.#storing).catch((error: unknown) => {
      if (error instanceof AttemptFailure) return error;
      throw error;
    });
    if (stored instanceof AttemptFailure) {
      return this.#failed(failureOfError(stored), { exit, container });
    }
    this.#step('outputs-stored');
    const log = await this.#spool.store(this.#stop);
    this.#step('log-stored');
    // Its container had ended already when the bytes that it read were found to be wrong.
    const { stop } = this.#storing;
    if (stop.aborted && orderOf(stop).kind === 'input-missing')
      return this.#failed(failureOfOrder(orderOf(stop)), { exit, container });
    const result: TaskResult = {
      inputs: this.#inputDigests(),
      ...stored,
      exit: reportExit(exit),
      usage: reportUsage(exit),
      log,
      machine: this.#parts.machine(),
      peer: this.#parts.peer,
      image: this.#image,
    };
    return this.#delivered(result, { exit, container });
  }

  /** A result of an earlier attempt or run: only what has to leave the mesh is left to do. */
  async #deliverKnown(result: TaskResult): Promise<Ending> {
    await this.#externals.deliver(result.outputs);
    return { kind: 'succeeded', result };
  }

  /** Where a store does not take it the result is kept all the same, so that the next attempt has only that to do. */
  async #delivered(
    result: TaskResult,
    ran: { readonly exit: ContainerExit; readonly container: RunningContainer },
  ): Promise<Ending> {
    try {
      await this.#externals.deliver(result.outputs);
      return { kind: 'succeeded', result };
    } catch (error) {
      if (!(error instanceof AttemptFailure)) throw error;
      await this.#parts.known?.record(this.#offer, result);
      return this.#failed(failureOfError(error), ran);
    }
  }

  async #supervise(container: RunningContainer): ReturnType<typeof supervise> {
    const { clock, limits } = this.#parts;
    const leftMs = Math.max(0, this.#offer.timeoutMs - this.#ranMs);
    const supervision = {
      clock,
      offer: this.#offer,
      leftMs,
      limits: limits(),
      stop: this.#stop,
      onCpu: (cpuMs: number) => this.#witness?.used(cpuMs),
    };
    try {
      return await supervise(container, supervision);
    } catch (error) {
      throw this.#isAdopted ? failureOfAdopted(error) : error;
    } finally {
      this.#witness?.ended();
      this.#parts.desk?.close(this.#claim);
    }
  }

  get #storing(): OutputStoring {
    const { files, clock, limits, archives } = this.#parts;
    return { files, clock, limits: limits(), offer: this.#offer, stop: this.#stop, archives };
  }

  #patiently<T>(work: () => Promise<T>): Promise<T> {
    return patiently(work, { clock: this.#parts.clock, stop: this.#stop });
  }

  async #failed(
    what: AttemptProblem,
    ran?: { readonly exit: ContainerExit; readonly container: RunningContainer },
  ): Promise<Ending> {
    const outputs =
      ran === undefined ? {} : await keepOutputs(ran.container, what.kind, this.#storing);
    this.#externals.flush();
    const log = await this.#spool.store(this.#stop).catch((): LogRef | undefined => undefined);
    const failure: Failure = {
      kind: what.kind,
      message: this.#externals.maskText(what.message),
      inputs: this.#inputDigests(),
      ...(what.missing === undefined ? {} : { missing: what.missing }),
      ...(ran === undefined ? {} : { exit: reportExit(ran.exit), usage: reportUsage(ran.exit) }),
      ...(log === undefined ? {} : { log }),
      ...(Object.keys(outputs).length === 0 ? {} : { outputs }),
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

  #step(step: AttemptStep): void {
    this.#parts.onStep?.(step, { claim: this.#claim, offer: this.#offer });
  }

  #throwIfStopped(): void {
    if (!this.#stop.aborted) return;
    const { kind, message, missing } = orderOf(this.#stop);
    const told = `ended before its container was started: ${message}`;
    throw new AttemptFailure(kind, told, undefined, missing);
  }
}
