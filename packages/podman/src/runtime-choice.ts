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
import { refused } from '@podmesh/core';

/**
 * The runtimes of one machine as one: a task gets the one it asks for, all others get the preferred.
 * Both share Podman's images, and the left-overs are those of both.
 */
export class RuntimeChoice implements ContainerRuntime {
  readonly #preferred: ContainerRuntime;
  readonly #others: readonly ContainerRuntime[];

  constructor(preferred: ContainerRuntime, ...others: readonly ContainerRuntime[]) {
    this.#preferred = preferred;
    this.#others = others;
  }

  async describe(): Promise<RuntimeDescription> {
    const [first, ...rest] = await Promise.all(this.#all().map((runtime) => runtime.describe()));
    if (first === undefined) throw new TypeError('there is always a preferred runtime');
    return { ...first, runtimes: [first.name, ...rest.map(({ name }) => name)] };
  }

  images(): Promise<ReadonlyMap<string, readonly string[]>> {
    return this.#preferred.images();
  }

  resolveImage(
    reference: string,
    pull: false | PullProgress,
    signal: AbortSignal,
  ): Promise<Result<string, ImageProblem>> {
    return this.#preferred.resolveImage(reference, pull, signal);
  }

  loadImage(archivePath: string, signal: AbortSignal): Promise<Result<string, ImageProblem>> {
    return this.#preferred.loadImage(archivePath, signal);
  }

  async start(
    spec: ContainerSpec,
    log: LogSink,
    signal: AbortSignal,
  ): Promise<Result<RunningContainer, StartProblem>> {
    const { runtime: wanted } = spec.requirements;
    if (wanted === undefined) return await this.#preferred.start(spec, log, signal);
    for (const runtime of this.#all()) {
      const { name } = await runtime.describe();
      if (name === wanted) return await runtime.start(spec, log, signal);
    }
    const message = `this peer has no runtime ${wanted}; see: podmesh doctor`;
    return refused({ kind: 'runtime', message });
  }

  async leftovers(peer: PeerId): Promise<readonly RunningContainer[]> {
    const found = await Promise.all(this.#all().map((runtime) => runtime.leftovers(peer)));
    return found.flat();
  }

  /** Of the first runtime that is ill. */
  async probe(peer: PeerId, signal: AbortSignal): Promise<string | undefined> {
    for (const runtime of this.#all()) {
      const problem = await runtime.probe(peer, signal);
      if (problem !== undefined)
        return `in the lane ${(await runtime.describe()).name}: ${problem}`;
    }
    return undefined;
  }

  #all(): readonly ContainerRuntime[] {
    return [this.#preferred, ...this.#others];
  }
}
