import {
  type Clock,
  type ContainerRuntime,
  type ImageHolder,
  type ImagePins,
  imageNames,
  type PeerDirectory,
  pinReference,
} from '@podmesh/core';

/** An image that nobody had is asked for again after this long. */
const UNKNOWN_MS = 5_000;
/** How this machine is called beside the peers, whose ids have no spaces. */
const HERE = 'this machine';

export interface ImageFinderParts {
  readonly runtime: Pick<ContainerRuntime, 'resolveImage'>;
  readonly peers: Pick<PeerDirectory, 'list'>;
  readonly clock: Clock;
  /** Architecture of this machine. */
  readonly arch: () => string;
}

/**
 * Image ids behind references, as far as this machine or any other peer's advertisement knows them:
 * one for each architecture, because an image of another one is of no use to a peer.
 * Used by the driver so that the result cache can be asked before anything is offered.
 */
export class ImageFinder {
  readonly #parts: ImageFinderParts;
  readonly #known = new Map<string, ImagePins>();
  readonly #unknownUntilMs = new Map<string, number>();

  constructor(parts: ImageFinderParts) {
    this.#parts = parts;
  }

  /** What `find` found out; kept for as long as this driver drives, so that a tag moved meanwhile does not split its run. */
  known(reference: string): ImagePins | undefined {
    return this.#known.get(reference);
  }

  async find(references: readonly string[]): Promise<void> {
    const nowMs = this.#parts.clock.nowMs();
    const due = references.filter(
      (one) => !this.#known.has(one) && (this.#unknownUntilMs.get(one) ?? 0) <= nowMs,
    );
    if (due.length === 0) return;
    const peers = await this.#parts.peers.list();
    const holders = peers.map(({ peer, machine, images }) => holderOf(peer, machine.arch, images));
    for (const reference of due) {
      const { pins } = pinReference(reference, holders, await this.#here(reference));
      if (Object.keys(pins).length === 0) this.#unknownUntilMs.set(reference, nowMs + UNKNOWN_MS);
      else this.#known.set(reference, pins);
    }
  }

  /** A driver need not be able to run containers: then the other peers know. */
  async #here(reference: string): Promise<ImageHolder | undefined> {
    const { runtime, arch } = this.#parts;
    try {
      const never = new AbortController().signal;
      const found = await runtime.resolveImage(reference, false, never);
      if (!found.ok) return undefined;
      return { name: HERE, arch: arch(), images: { [found.value]: imageNames(reference) } };
    } catch {
      return undefined;
    }
  }
}

/** An image has its id for a name too. */
function holderOf(name: string, arch: string, images: ImageHolder['images']): ImageHolder {
  const named = Object.entries(images).map(([id, names]) => [id, [id, ...names]] as const);
  return { name, arch, images: Object.fromEntries(named) };
}
