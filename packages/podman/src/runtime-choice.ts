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
import { isCanary } from './canary.ts';

/** Of a runtime that nothing is started in: its containers are taken to their ends. */
type LeftoversOnly = Pick<ContainerRuntime, 'leftovers'>;

/**
 * The runtimes of one machine as one: a task gets the one it asks for, all others get the preferred.
 * All share Podman's images, and the left-overs are those of all, and of the runtimes that an earlier
 * daemon used and this one does not.
 */
export class RuntimeChoice implements ContainerRuntime {
  readonly #preferred: ContainerRuntime;
  readonly #all: readonly ContainerRuntime[];
  readonly #retired: readonly LeftoversOnly[];
  #probes = 0;

  constructor(
    preferred: ContainerRuntime,
    others: readonly ContainerRuntime[] = [],
    retired: readonly LeftoversOnly[] = [],
  ) {
    this.#preferred = preferred;
    this.#all = [preferred, ...others];
    this.#retired = retired;
  }

  async describe(): Promise<RuntimeDescription> {
    const [first, ...rest] = await Promise.all(this.#all.map((runtime) => runtime.describe()));
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
    for (const runtime of this.#all) {
      const { name } = await runtime.describe();
      if (name === wanted) return await runtime.start(spec, log, signal);
    }
    const message = `this peer has no runtime ${wanted}; see: podmesh doctor`;
    return refused({ kind: 'runtime', message });
  }

  /**
   * A canary that flies is nobody's left-over: removed, it would tell that this machine is ill. Looked
   * at after the listing, as a probe that begins later is in no list. One of a dead daemon is found
   * when none flies.
   */
  async leftovers(peer: PeerId): Promise<readonly RunningContainer[]> {
    const runtimes = [...this.#all, ...this.#retired];
    const found = await Promise.all(runtimes.map((runtime) => runtime.leftovers(peer)));
    return found.flat().filter(({ labels }) => this.#probes === 0 || !isCanary(labels));
  }

  /** Of the first runtime that is ill. */
  async probe(peer: PeerId, signal: AbortSignal): Promise<string | undefined> {
    this.#probes += 1;
    try {
      for (const runtime of this.#all) {
        const problem = await runtime.probe(peer, signal);
        if (problem !== undefined)
          return `in the lane ${(await runtime.describe()).name}: ${problem}`;
      }
      return undefined;
    } finally {
      this.#probes -= 1;
    }
  }
}
