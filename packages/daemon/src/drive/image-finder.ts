import { type Clock, type ContainerRuntime, imageNames, type PeerDirectory } from '@podmesh/core';

/** An image that nobody had is asked for again after this long. */
const UNKNOWN_MS = 5_000;

/**
 * Image ids behind references, as far as this machine or any other peer's advertisement knows them.
 * Used by the driver so that the result cache can be asked before anything is offered.
 */
export class ImageFinder {
  readonly #runtime: ContainerRuntime;
  readonly #peers: PeerDirectory;
  readonly #clock: Clock;
  readonly #known = new Map<string, string>();
  readonly #unknownUntilMs = new Map<string, number>();

  constructor(runtime: ContainerRuntime, peers: PeerDirectory, clock: Clock) {
    this.#runtime = runtime;
    this.#peers = peers;
    this.#clock = clock;
  }

  /** What `find` found out; kept for as long as this driver drives, so that a tag moved meanwhile does not split its run. */
  known(reference: string): string | undefined {
    return this.#known.get(reference);
  }

  async find(references: readonly string[]): Promise<void> {
    const nowMs = this.#clock.nowMs();
    for (const reference of references) {
      if (this.#known.has(reference)) continue;
      if ((this.#unknownUntilMs.get(reference) ?? 0) > nowMs) continue;
      const id = (await this.#findHere(reference)) ?? (await this.#findElsewhere(reference));
      if (id === undefined) this.#unknownUntilMs.set(reference, nowMs + UNKNOWN_MS);
      else this.#known.set(reference, id);
    }
  }

  /** A driver need not be able to run containers: then the other peers know. */
  async #findHere(reference: string): Promise<string | undefined> {
    try {
      const never = new AbortController().signal;
      const found = await this.#runtime.resolveImage(reference, false, never);
      return found.ok ? found.value : undefined;
    } catch {
      return undefined;
    }
  }

  async #findElsewhere(reference: string): Promise<string | undefined> {
    const wanted = new Set(imageNames(reference));
    for (const { images } of await this.#peers.list()) {
      for (const [id, references] of Object.entries(images)) {
        if (id === reference || references.some((name) => wanted.has(name))) return id;
      }
    }
    return undefined;
  }
}
