import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import {
  type ContainerExit,
  type ContainerSpec,
  claimId,
  type LogSink,
  type PeerId,
  peerId,
  type RunningContainer,
  runId,
  taskId,
} from '@podmesh/core';
import { PodmanRuntime } from './podman-runtime.ts';
import { PodmanService } from './podman-service.ts';

const run = promisify(execFile);
const IMAGE = 'localhost/podmesh/busybox:1';
const BUILD_IMAGE = new URL('../../../scripts/build-image', import.meta.url).pathname;

/** What a container test needs: a service and runtime of its own, the busybox image, and an end that leaves nothing. */
export interface Testbed {
  readonly directory: string;
  readonly peer: PeerId;
  /** The id of the busybox image, and its name. */
  readonly image: string;
  readonly imageName: string;
  readonly service: PodmanService;
  readonly runtime: PodmanRuntime;
  /** A specification for the busybox image with fresh ids and scratch directory. */
  spec(changes?: Partial<ContainerSpec>): Promise<ContainerSpec>;
  /** Starts, and fails the test when that is refused. */
  start(changes?: Partial<ContainerSpec>, log?: LogSink): Promise<RunningContainer>;
  /** Starts, waits, removes. */
  run(changes?: Partial<ContainerSpec>): Promise<{ exit: ContainerExit; out: string; err: string }>;
  /** The podman command, for looking from outside. */
  podman(...args: string[]): Promise<string>;
  close(): Promise<void>;
}

/** Must run as an unprivileged user: `scripts/rootless npx vitest run …` when you are root. */
export async function openTestbed(): Promise<Testbed> {
  await run(BUILD_IMAGE);
  const directory = await mkdtemp(join(tmpdir(), 'podmesh-podman-'));
  const service = new PodmanService({ env: process.env, directory: join(directory, 'service') });
  await service.start();
  const runtime = new PodmanRuntime({ socketPath: service.socketPath, env: process.env });
  const resolved = await runtime.resolveImage(IMAGE, false, new AbortController().signal);
  if (!resolved.ok) throw new Error(resolved.error.message);
  return new OpenTestbed(directory, resolved.value, service, runtime);
}

/** Collects a log as text. */
export function collect(): { sink: LogSink; out: () => string; err: () => string } {
  const chunks: Record<'stdout' | 'stderr', Buffer[]> = { stdout: [], stderr: [] };
  const text = (stream: 'stdout' | 'stderr') => Buffer.concat(chunks[stream]).toString('latin1');
  return {
    sink: (stream, bytes) => chunks[stream].push(Buffer.from(bytes)),
    out: () => text('stdout'),
    err: () => text('stderr'),
  };
}

class OpenTestbed implements Testbed {
  readonly directory: string;
  readonly image: string;
  readonly imageName = IMAGE;
  readonly service: PodmanService;
  readonly runtime: PodmanRuntime;
  readonly peer: PeerId;
  #count = 0;

  constructor(directory: string, image: string, service: PodmanService, runtime: PodmanRuntime) {
    this.directory = directory;
    this.image = image;
    this.service = service;
    this.runtime = runtime;
    this.peer = peerId(`test-${directory.slice(-6)}`);
  }

  async spec(changes: Partial<ContainerSpec> = {}): Promise<ContainerSpec> {
    const number = ++this.#count;
    const scratchDir = join(this.directory, `scratch-${number}`);
    await mkdir(scratchDir, { mode: 0o700 });
    const labels = {
      run: runId('testrun00001'),
      task: taskId('job:7'),
      attempt: 2,
      peer: this.peer,
      // As awkward as a claim can be: it becomes a name of files, cgroups and containers.
      claim: claimId(`-claim_${number}-`),
    };
    return {
      labels,
      image: this.image,
      env: {},
      inputs: {},
      outputs: {},
      net: false,
      requirements: { cpus: 1, memoryBytes: 64 << 20, diskBytes: 0, gpus: 0, labels: [] },
      scratchDir,
      ...changes,
    };
  }

  async start(
    changes: Partial<ContainerSpec> = {},
    log: LogSink = () => undefined,
  ): Promise<RunningContainer> {
    const spec = await this.spec(changes);
    const started = await this.runtime.start(spec, log, new AbortController().signal);
    if (!started.ok) throw new Error(`${started.error.kind}: ${started.error.message}`);
    return started.value;
  }

  async run(
    changes: Partial<ContainerSpec> = {},
  ): Promise<{ exit: ContainerExit; out: string; err: string }> {
    const log = collect();
    const container = await this.start(changes, log.sink);
    const exit = await container.wait();
    await container.remove();
    return { exit, out: log.out(), err: log.err() };
  }

  async podman(...args: string[]): Promise<string> {
    return (await run('podman', args)).stdout.trim();
  }

  async close(): Promise<void> {
    for (const left of await this.runtime.leftovers(this.peer)) await left.remove();
    this.runtime.close();
    await this.service.stop();
    await rm(this.directory, { recursive: true, force: true });
  }
}
