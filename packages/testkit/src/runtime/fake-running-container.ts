import {
  type ContainerExit,
  type ContainerLabels,
  type ContainerSample,
  type LogSink,
  type OutputEntry,
  type OutputProblem,
  type OutputRef,
  ok,
  PortError,
  type Result,
  type RunningContainer,
  refused,
} from '@podmesh/core';
import type { FakeProcess } from '../process/fake-process.ts';
import type { ContainerHost } from './container-host.ts';
import { type FakeOutput, outputKey } from './container-plan.ts';
import type { FakeContainer } from './fake-container.ts';

/** One process's hold on a container. */
export class FakeRunningContainer implements RunningContainer {
  readonly labels: ContainerLabels;
  readonly replays = 'all';
  private readonly process: FakeProcess;
  private readonly host: ContainerHost;
  private readonly container: FakeContainer;
  /** Resolves when the container, and the log as far as anybody wants it, are through. */
  private ended: Promise<ContainerExit> | undefined;

  constructor(process: FakeProcess, host: ContainerHost, container: FakeContainer) {
    this.process = process;
    this.host = host;
    this.container = container;
    this.labels = container.spec.labels;
  }

  replayLog(log: LogSink): void {
    this.ended = followContainer(this.process, this.container, log);
  }

  async wait(): Promise<ContainerExit> {
    await this.ask('wait', () => undefined);
    return this.end();
  }

  async stop(graceMs: number): Promise<void> {
    await this.ask(`stop ${graceMs}`, () => this.container.stop(graceMs));
    await this.end();
  }

  async readOutput(output: OutputRef): Promise<Result<AsyncIterable<OutputEntry>, OutputProblem>> {
    const key = outputKey(output);
    return this.ask(`read ${key}`, () => {
      if (this.container.running) {
        throw new PortError('a running container has no outputs yet', { retryable: false });
      }
      const found = this.container.outputAt(output);
      if (found === undefined) {
        return refused({ kind: 'missing', message: `there is nothing at ${key}` });
      }
      if ((output.kind === 'dir') === (found.kind === 'dir')) return ok(entriesOf(found));
      return refused({
        kind: output.kind === 'dir' ? 'not-a-directory' : 'not-a-file',
        message: `${key} is a ${found.kind}`,
      });
    });
  }

  sample(): Promise<ContainerSample> {
    return this.ask('sample', () => this.container.sample);
  }

  remove(): Promise<void> {
    return this.ask('remove', () => this.host.remove(this.container));
  }

  private end(): Promise<ContainerExit> {
    this.ended ??= followContainer(this.process, this.container, () => undefined);
    return this.ended;
  }

  private ask<T>(what: string, effect: () => T): Promise<T> {
    const { run, task, attempt } = this.labels;
    return this.process.call(`container.${what} ${run} ${task} ${attempt}`, effect, 'machine');
  }
}

/** Hands the log over in order, one piece at a time; resolves with the exit once all of it is through. */
function followContainer(
  process: FakeProcess,
  container: FakeContainer,
  log: LogSink,
): Promise<ContainerExit> {
  const { run, task, attempt } = container.spec.labels;
  const label = `container.output ${run} ${task} ${attempt}`;
  return new Promise((resolve) => {
    let position = 0;
    let inFlight = false;
    const push = () => {
      if (inFlight) return;
      const chunk = container.log[position];
      if (chunk !== undefined) {
        position += 1;
        const action = () => {
          inFlight = false;
          log(chunk.stream, chunk.bytes.slice());
          push();
        };
        inFlight = process.receive({ label, local: true, action });
      } else if (container.exit !== undefined) {
        const { exit } = container;
        inFlight = true;
        unsubscribe();
        process.receive({ label, local: true, action: () => resolve(exit) });
      }
    };
    const unsubscribe = container.changed.subscribe(push);
    process.onDeath(unsubscribe);
    push();
  });
}

async function* entriesOf(output: FakeOutput): AsyncGenerator<OutputEntry> {
  if (output.kind === 'file') {
    const executable = output.executable ?? false;
    yield { kind: 'file', path: '', executable, content: bytesOf(output.text) };
    return;
  }
  for (const entry of output.entries) {
    if (entry.kind !== 'file') yield entry;
    else {
      const { path, text, executable = false } = entry;
      yield { kind: 'file', path, executable, content: bytesOf(text) };
    }
  }
}

async function* bytesOf(text: string): AsyncGenerator<Uint8Array> {
  if (text !== '') yield new TextEncoder().encode(text);
}
