import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import {
  type ContainerRuntime,
  type ContainerSpec,
  type ImageProblem,
  isDigest,
  ok,
  type PeerId,
  type Result,
  refused,
  type StartProblem,
} from '@podmesh/core';
import type { FakeProcess } from '../process/fake-process.ts';
import type { Scheduler } from '../time/scheduler.ts';
import { type ContainerScript, SUCCEEDING } from './container-plan.ts';
import { FakeContainer } from './fake-container.ts';
import { FakeRuntime } from './fake-runtime.ts';

/** What a machine's containers and images are like. */
export interface ContainerHostOptions {
  readonly script?: ContainerScript;
  /** Image id → references that are there. Other references are found too, unless `strictImages`. */
  readonly images?: ReadonlyMap<string, readonly string[]>;
  /** Only `images` exist. */
  readonly strictImages?: boolean;
  /** What a canary finds wrong with the machine. */
  readonly trouble?: () => string | undefined;
  /** Reads an image archive; from the disk unless given. */
  readonly readArchive?: (path: string) => Uint8Array;
}

/** Podman on one machine: containers outlive the daemons that started them. */
export class ContainerHost {
  readonly name: string;
  /** Every container that was ever started here, removed ones too, oldest first. */
  readonly executions: FakeContainer[] = [];
  readonly images: Map<string, readonly string[]>;
  private readonly scheduler: Scheduler;
  private readonly options: ContainerHostOptions;

  constructor(scheduler: Scheduler, name: string, options: ContainerHostOptions = {}) {
    this.scheduler = scheduler;
    this.name = name;
    this.options = options;
    this.images = new Map(options.images ?? []);
  }

  /** Containers that were not removed, in whatever state. */
  get containers(): readonly FakeContainer[] {
    return this.executions.filter((container) => container.removedMs === undefined);
  }

  /** The runtime as one process (one incarnation of the daemon) uses it. */
  runtimeFor(process: FakeProcess): ContainerRuntime {
    return new FakeRuntime(process, this);
  }

  /** The machine lost power: all containers are dead, and still there. */
  reboot(): void {
    for (const container of this.containers) container.stop(0);
  }

  start(spec: ContainerSpec): Result<FakeContainer, StartProblem> {
    const plan = (this.options.script ?? SUCCEEDING)(spec);
    if (plan.kind === 'start-failed') return refused(plan.problem);
    const id = `${this.name}-${this.executions.length + 1}`;
    const container = new FakeContainer(this.scheduler, id, spec, plan);
    this.executions.push(container);
    return ok(container);
  }

  trouble(): string | undefined {
    return this.options.trouble?.();
  }

  remove(container: FakeContainer): void {
    container.stop(0);
    container.removedMs ??= this.scheduler.nowMs();
  }

  withPeer(peer: PeerId): readonly FakeContainer[] {
    return this.containers.filter((container) => container.spec.labels.peer === peer);
  }

  resolveImage(reference: string): Result<string, ImageProblem> {
    for (const [id, references] of this.images) {
      if (id === reference || references.includes(reference)) return ok(id);
    }
    if (this.options.strictImages) {
      return refused({ kind: 'unavailable', message: `${reference} is not on ${this.name}` });
    }
    const id = isDigest(reference) ? reference : sha256(reference);
    this.images.set(id, isDigest(reference) ? [] : [reference]);
    return ok(id);
  }

  loadImage(archivePath: string): Result<string, ImageProblem> {
    try {
      const id = sha256((this.options.readArchive ?? readFileSync)(archivePath));
      this.images.set(id, []);
      return ok(id);
    } catch (error) {
      return refused({ kind: 'not-an-image', message: `${archivePath}: ${String(error)}` });
    }
  }
}

function sha256(content: string | Uint8Array): string {
  return `sha256:${createHash('sha256').update(content).digest('hex')}`;
}
