import {
  type ContainerRuntime,
  type ContainerSpec,
  type ImageProblem,
  type LogSink,
  ok,
  type PeerId,
  PortError,
  type PullProgress,
  type Result,
  type RunningContainer,
  type RuntimeDescription,
  type StartProblem,
} from '@podmesh/core';
import type { FakeProcess } from '../process/fake-process.ts';
import { orAborted } from '../process/sleep.ts';
import type { ContainerHost } from './container-host.ts';
import { FakeRunningContainer } from './fake-running-container.ts';

/** A machine's containers as one process uses them. */
export class FakeRuntime implements ContainerRuntime {
  private readonly process: FakeProcess;
  private readonly host: ContainerHost;

  constructor(process: FakeProcess, host: ContainerHost) {
    this.process = process;
    this.host = host;
  }

  describe(): Promise<RuntimeDescription> {
    const description: RuntimeDescription = {
      name: 'podman',
      runtimes: ['podman', 'crun'],
      version: '1.0.0',
      rootless: true,
      ociRuntime: 'none',
      storageDriver: 'memory',
      cgroupVersion: 'v2',
      limits: { memory: 'kernel', cpus: 'kernel', pids: 'kernel', disk: 'watched' },
      arch: 'amd64',
    };
    return this.ask('describe', () => description);
  }

  images(): Promise<ReadonlyMap<string, readonly string[]>> {
    return this.ask('images', () => new Map(this.host.images));
  }

  resolveImage(
    reference: string,
    _pull: false | PullProgress,
    signal: AbortSignal,
  ): Promise<Result<string, ImageProblem>> {
    const answer = this.ask(`resolve ${reference}`, () => this.host.resolveImage(reference));
    return orAbandoned(answer, signal);
  }

  loadImage(archivePath: string, signal: AbortSignal): Promise<Result<string, ImageProblem>> {
    const answer = this.ask(`load ${archivePath}`, () => this.host.loadImage(archivePath));
    return orAbandoned(answer, signal);
  }

  async start(
    spec: ContainerSpec,
    log: LogSink,
    signal: AbortSignal,
  ): Promise<Result<RunningContainer, StartProblem>> {
    const { run, task, attempt } = spec.labels;
    const answer = this.ask(`start ${run} ${task} ${attempt}`, () => this.host.start(spec));
    const started = await orAbandoned(answer, signal);
    if (!started.ok) return started;
    const running = new FakeRunningContainer(this.process, this.host, started.value);
    running.replayLog(log);
    return ok(running);
  }

  async leftovers(peer: PeerId): Promise<readonly RunningContainer[]> {
    const found = await this.ask(`leftovers ${peer}`, () => this.host.withPeer(peer));
    return found.map((container) => new FakeRunningContainer(this.process, this.host, container));
  }

  probe(peer: PeerId): Promise<string | undefined> {
    return this.ask(`probe ${peer}`, () => this.host.trouble());
  }

  private ask<T>(label: string, effect: () => T): Promise<T> {
    return this.process.call(`runtime.${label}`, effect, 'machine');
  }
}

async function orAbandoned<T>(answer: Promise<T>, signal: AbortSignal): Promise<T> {
  const value = await orAborted(
    answer.then((given) => ({ given })),
    signal,
  );
  if (value === undefined) throw new PortError('abandoned by the caller', { retryable: false });
  return value.given;
}
