import type { ContainerExit, ContainerSample, ContainerSpec, OutputRef } from '@podmesh/core';
import { wallTime } from '../mesh/wall-time.ts';
import { Topic } from '../process/topic.ts';
import type { Cancel, Scheduler } from '../time/scheduler.ts';
import { type ContainerLife, type FakeOutput, madeUpOutput, outputKey } from './container-plan.ts';

/** One piece of output. */
export interface ContainerLogChunk {
  readonly stream: 'stdout' | 'stderr';
  readonly bytes: Uint8Array;
}

/** A container on its machine: it goes on, and ends, whether or not a daemon watches. */
export class FakeContainer {
  readonly id: string;
  readonly spec: ContainerSpec;
  readonly startedMs: number;
  readonly log: ContainerLogChunk[] = [];
  /** Told of every piece of output and of the end. */
  readonly changed = new Topic();
  exit: ContainerExit | undefined;
  endedMs: number | undefined;
  removedMs: number | undefined;
  private readonly life: ContainerLife;
  private readonly scheduler: Scheduler;
  private readonly cancelEnd: Cancel;
  private cancelKill: Cancel = () => undefined;

  constructor(scheduler: Scheduler, id: string, spec: ContainerSpec, life: ContainerLife) {
    this.scheduler = scheduler;
    this.id = id;
    this.spec = spec;
    this.life = life;
    this.startedMs = scheduler.nowMs();
    this.print('stdout', life.stdout);
    const finish = () => {
      this.print('stderr', life.stderr);
      this.end(life.code ?? 0);
    };
    this.cancelEnd =
      life.durationMs === undefined ? () => undefined : scheduler.after(life.durationMs, finish);
  }

  get running(): boolean {
    return this.exit === undefined;
  }

  get sample(): ContainerSample {
    return this.running ? (this.life.sample ?? {}) : {};
  }

  /** SIGTERM now, SIGKILL after `graceMs`. */
  stop(graceMs: number): void {
    if (!this.running) return;
    if (graceMs <= 0) this.end(137, 'SIGKILL');
    else if (!this.life.ignoresTerm) this.end(143, 'SIGTERM');
    else {
      this.cancelKill();
      this.cancelKill = this.scheduler.after(graceMs, () => this.end(137, 'SIGKILL'));
    }
  }

  /** `undefined`: the task left nothing there. */
  outputAt(output: OutputRef): FakeOutput | undefined {
    const key = outputKey(output);
    const { outputs, stdout, stderr } = this.life;
    if (outputs !== undefined && key in outputs) return outputs[key];
    if (output.kind === 'fd' && output.fd <= 2) {
      const text = output.fd === 2 ? stderr : stdout;
      if (text !== undefined) return { kind: 'file', text };
    }
    return madeUpOutput(this.spec.labels, output);
  }

  private print(stream: ContainerLogChunk['stream'], text: string | undefined): void {
    if (text === undefined || text === '') return;
    this.log.push({ stream, bytes: new TextEncoder().encode(text) });
    this.changed.notify();
  }

  private end(code: number, signal?: string): void {
    if (!this.running) return;
    this.cancelEnd();
    this.cancelKill();
    this.endedMs = this.scheduler.nowMs();
    const wallMs = this.endedMs - this.startedMs;
    this.exit = {
      code,
      ...(signal === undefined ? {} : { signal }),
      oomKilled: this.life.oomKilled ?? false,
      startedAt: wallTime(this.startedMs),
      finishedAt: wallTime(this.endedMs),
      wallMs,
      cpuMs: wallMs / 2,
      maxRssBytes: 1_000_000,
    };
    this.changed.notify();
  }
}
